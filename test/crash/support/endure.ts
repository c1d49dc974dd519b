import { type EmbeddedPostgres, PATIENCE_MS } from '@holdfast-internal/test-support';
import type { ProgramOptions } from '../programs/options.js';
import { account, pause } from './account.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';

/** A message may be in work at every one of many cuts; none is to become a dead letter of it. */
export const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true, attempts: 30 },
  { name: 'batch', batchSize: 8, attempts: 30 },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000, attempts: 30 },
];
/** What they promise. */
export const PROMISES = { once: ['ordered', 'batch'], atLeastOnce: ['leased'], ordered: ['ordered'] };
const SESSIONS = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
const LOAD = { concurrency: 6, perSecond: 50, kinds: ['ok', 'ok', 'ok', 'forward', 'ok', 'throw-once'] } as const;

/** Longest wait for the acknowledgements of a load: a server on a busy machine may need ten seconds and more for each recovery. */
const LOAD_MS = 120_000;

/** Until messages have effects again; the most of it is for a busy machine. */
export const FLOWS_AGAIN_MS = 20_000;

/** A load that goes on while something breaks, a last part after it has healed, and the account of it all. */
export async function endure(arena: Arena, options: Partial<ProgramOptions>, faults: (programs: readonly Program[]) => Promise<void>) {
  const full: ProgramOptions = { url: arena.url, lanes: 8, subscriptions: SUBSCRIPTIONS, ...options };
  const programs = (await Promise.all([new Program(full).ready(), new Program(full).ready()])) as [Program, Program];
  const loads = programs.map((program) => program.publish({ ...LOAD, untilAcknowledged: 120 }, LOAD_MS));
  await faults(programs);
  await Promise.all(loads);
  await programs[0].publish({ untilAcknowledged: 10 }, LOAD_MS);
  const result = await account(arena, programs, { ...PROMISES, minimum: 30 });
  const stops = await Promise.all(programs.map((program) => program.stop()));
  return { ...result, codes: stops.map(({ code }) => code) };
}

/** The same, after which nothing is amiss, new messages have effects soon, and all processes stop in good order. */
export async function outlive(
  arena: Arena,
  options: Partial<ProgramOptions>,
  faults: (programs: readonly Program[]) => Promise<void>,
): Promise<void> {
  let flowsAfterMs = Number.POSITIVE_INFINITY;
  const result = await endure(arena, options, async (programs) => {
    await faults(programs);
    const flows = firstEffectMs(arena);
    await programs[0]?.publish({ untilAcknowledged: 5 });
    flowsAfterMs = await flows;
  });
  expect(result).toMatchObject({ faults: [], codes: [0, 0] });
  expect(flowsAfterMs).toBeLessThan(FLOWS_AGAIN_MS);
  await arena.close();
}

/** Under load: the server dies twice, and comes back. */
export async function killServer(postgres: EmbeddedPostgres, programs: readonly Program[]): Promise<void> {
  for (let kill = 0; kill < 2; kill += 1) {
    await publishing(programs, 20);
    await postgres.kill();
    await pause(200);
    await postgres.start();
  }
}

/** Those of the programs, and not the one that looks. */
export async function endAllSessions(arena: Arena): Promise<void> {
  await arena.look(SESSIONS);
}

/** Under load: all sessions end, some times, and then many of them one after another. */
export async function endSessions(arena: Arena, programs: readonly Program[]): Promise<void> {
  await publishing(programs, 20);
  for (let cut = 0; cut < 5; cut += 1) {
    await pause(300);
    await endAllSessions(arena);
  }
  for (let cut = 0; cut < 15; cut += 1) {
    await pause(100);
    await arena.look(`${SESSIONS} order by random() limit 1`);
  }
}

/** Publishes until so many more units of each process are acknowledged, whatever becomes of the load that runs. */
export async function publishing(programs: readonly Program[], more: number): Promise<void> {
  await Promise.all(programs.map((program) => program.publish({ ...LOAD, untilAcknowledged: more }, LOAD_MS)));
}

/** Until so many more units were acknowledged than now. */
export async function acknowledged(programs: readonly Program[], more: number): Promise<void> {
  const count = () => programs.reduce((sum, program) => sum + program.said('acknowledged').length, 0);
  const enough = count() + more;
  for (const deadline = performance.now() + LOAD_MS; count() < enough; await pause(20))
    if (performance.now() > deadline) throw new Error(`Only ${count()} units were acknowledged, waiting for ${enough}`);
}

/** Milliseconds until the first effect from now on. */
export async function firstEffectMs(arena: Arena): Promise<number> {
  const [now] = await arena.look<{ at: Date }>('select clock_timestamp() as at');
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await pause(20)) {
    const [first] = await arena.look<{ ms: number }>(
      'select extract(epoch from min(at) - $1::timestamptz)::float8 * 1000 as ms from effect where at > $1 having count(*) > 0',
      [now?.at],
    );
    if (first !== undefined) return Math.round(first.ms);
  }
  throw new Error('nothing is handled any more');
}
