import { measured } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { account } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

const MESSAGES = 3000;
const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true, batchSize: 16 },
  { name: 'batch', batchSize: 32 },
];

afterEach(killPrograms);

async function effects(arena: Arena): Promise<number> {
  const [row] = await arena.look<{ n: string }>('select count(*) as n from effect');
  return Number(row?.n);
}

async function untilEffects(arena: Arena, count: number): Promise<void> {
  while ((await effects(arena)) < count) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Time without an effect from `since` to the last one, beyond the short rests of every work. */
async function idleMs(arena: Arena, since: Date): Promise<number> {
  const [row] = await arena.look<{ ms: number }>(
    `select coalesce(sum(ms) filter (where ms > 200), 0)::float8 as ms from
       (select extract(epoch from at - lag(at, 1, $1::timestamptz) over (order by at)) * 1000 as ms from effect where at > $1) rests`,
    [since],
  );
  return row?.ms as number;
}

/** What a death costs beyond the work, what all of it took, and how soon another process begins after a clean stop. */
interface Costs {
  readonly idle: number;
  readonly took: number;
  readonly work: number;
  readonly begunAfter: number;
}

/** A process is killed in the midst of three thousand messages, one that follows handles the rest, and one more begins after it. */
async function killInTheMidst(): Promise<Costs> {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 16, subscriptions: [] };
  const publisher = await new Program(options).ready();
  await publisher.publish({ prefix: 'm', count: MESSAGES / 50, perUnit: 50, keys: 64, rollbackShare: 0 });
  const killed = new Program({ ...options, subscriptions: SUBSCRIPTIONS });
  await killed.ready();
  const begun = performance.now();
  await untilEffects(arena, MESSAGES / 3);
  await killed.kill();
  const perMessage = (performance.now() - begun) / (await effects(arena));
  const next = new Program({ ...options, subscriptions: SUBSCRIPTIONS });
  await next.ready();
  const restarted = performance.now();
  const [now] = await arena.look<{ at: Date }>('select clock_timestamp() as at');
  const work = perMessage * (SUBSCRIPTIONS.length * MESSAGES - (await effects(arena)));
  const { faults } = await account(arena, [publisher, killed, next], {
    once: ['ordered', 'batch'],
    ordered: ['ordered'],
    minimum: MESSAGES / 50,
    patienceMs: 240_000,
  });
  const took = performance.now() - restarted;
  const idle = await idleMs(arena, now?.at as Date);
  if (process.env.HOLDFAST_CRASH_FIGURES)
    console.info(`work ${Math.round(work)} ms, took ${Math.round(took)} ms, idle ${Math.round(idle)} ms of them`);
  expect(faults).toEqual([]);

  expect((await next.stop()).code).toBe(0);
  await publisher.publish({ prefix: 'more', count: 10, rollbackShare: 0 });
  const third = await new Program({ ...options, subscriptions: SUBSCRIPTIONS }).ready();
  const ready = performance.now();
  await untilEffects(arena, SUBSCRIPTIONS.length * (MESSAGES + 10));
  const begunAfter = performance.now() - ready;
  await third.stop();
  await arena.close();
  return { idle, took, work, begunAfter };
}

it('three thousand messages survive kill -9 in their midst, and cost no more than ten seconds beyond their work', async () => {
  const missed = ({ idle, took, work, begunAfter }: Costs) => [
    ...(idle < 10_000 ? [] : [{ idle }]),
    // The machine may be half as fast as it was before.
    ...(took < 2 * work + 10_000 ? [] : [{ took, work }]),
    // A second, and more for a busy machine, but not the six that it takes to find a dead process.
    ...(begunAfter < 5000 ? [] : [{ begunAfter }]),
  ];
  expect(missed(await measured(killInTheMidst, (costs) => missed(costs).length === 0))).toEqual([]);
}, 1_200_000);
