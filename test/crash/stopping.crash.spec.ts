import { measured, PATIENCE_MS } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { account, pause, rowsLeftBy } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 8 },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000 },
];
const LANES = 8;
/** So long that a machine that stalls ends what has begun. */
const STOP_MS = 10_000;
/** A second, and more for a busy machine, but not the six that it takes to find a dead process. */
const GOES_ON_MS = 5000;
/** After `stopTimeout`: to give back what has not ended, and what a busy machine may add. */
const RETURN_MS = 2000;
const SLACK_MS = 10_000;
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'] };

/** Slow work that a process has begun, as `subscription id`. */
function begun(program: Program): Set<string> {
  return new Set(
    program
      .said('called')
      .filter(({ kind }) => kind === 'slow')
      .map(({ subscription, id }) => `${subscription} ${id}`),
  );
}

/** Committed effects of slow work, one line each, as `subscription id`. */
async function done(arena: Arena, { pid }: Program): Promise<string[]> {
  const rows = await arena.look<{ subscription: string; message_id: string }>(
    `select subscription, message_id from effect e join intent i using (message_id) where pid = $1 and i.kind = 'slow'`,
    [pid],
  );
  return rows.map(({ subscription, message_id }) => `${subscription} ${message_id}`);
}

/** Until it is in the midst of slow work, inside transactions and outside. */
async function inTheMidst(arena: Arena, program: Program): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await pause(20)) {
    const finished = new Set(await done(arena, program));
    const open = [...begun(program)].filter((each) => !finished.has(each));
    const [claims] = await arena.look<{ n: string }>(`select count(*) as n from holdfast_inbox where status = 'claimed'`);
    if (open.length >= 2 && Number(claims?.n) >= 1) return;
    if (performance.now() > deadline) throw new Error('No slow work was begun');
  }
}

afterEach(killPrograms);

/** A process is told to stop under load, twice, and another one goes on. How long that takes until its first effect, for each subscription. */
async function stopUnderLoad(): Promise<number[]> {
  const arena = await openArena();
  const options: ProgramOptions = {
    url: arena.url,
    lanes: LANES,
    // A claim that ended while the machine stalled would be made again.
    subscriptions: SUBSCRIPTIONS.map((each) => (each.isTransactional === false ? { ...each, lockTtlMs: 10_000 } : each)),
    stopTimeoutMs: STOP_MS,
    publishesToTheEnd: true,
  };
  const publishing = {
    prefix: 'load',
    perSecond: 80,
    concurrency: 8,
    kinds: ['ok', 'ok', 'slow', 'ok', 'throw-once', 'ok'],
    ms: 300,
  } as const;
  const stopping = await new Program({ ...options, publishing }).ready();
  // So many that the run shows something, however slow the machine is.
  while (stopping.said('acknowledged').length < 60) await pause(20);
  await inTheMidst(arena, stopping);
  stopping.signal('SIGTERM');
  await pause(20);
  const { code, ms } = await stopping.stop();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(STOP_MS + RETURN_MS + SLACK_MS);
  // What had begun has ended, and the row of the process says that it stopped in good order.
  const finished = await done(arena, stopping);
  expect([...begun(stopping)].filter((each) => !finished.includes(each))).toEqual([]);
  expect(await rowsLeftBy(arena, stopping)).toEqual([]);

  const next = await new Program(options).ready();
  const readyAt = new Date();
  await next.publish({ count: 10 });
  const { faults } = await account(arena, [stopping, next], { ...PROMISES, minimum: 60 });
  expect(faults).toEqual([]);
  // Outside transactions too: nothing was cut short that would have to be repeated.
  const slow = [...(await done(arena, stopping)), ...(await done(arena, next))];
  expect(slow).toHaveLength(new Set(slow).size);
  const first = await arena.look<{ subscription: string; ms: number }>(
    `select subscription, extract(epoch from min(at) - $1::timestamptz)::float8 * 1000 as ms from effect where pid = $2 group by 1`,
    [readyAt, next.pid],
  );
  expect(first).toHaveLength(SUBSCRIPTIONS.length);
  expect((await next.stop()).code).toBe(0);
  await arena.close();
  return first.map(({ ms: firstMs }) => firstMs);
}

it('SIGTERM under load, twice: ends in time, loses and doubles nothing, and the next one goes on within a second', async () => {
  const longest = await measured(
    async () => Math.max(...(await stopUnderLoad())),
    (ms) => ms < GOES_ON_MS,
  );
  expect(longest).toBeLessThan(GOES_ON_MS);
});

it('stopping begins nothing new, aborts what does not end, and gives it back', async () => {
  const arena = await openArena();
  // What is heeded waits until all is published, which must not be its time-out on a busy machine.
  const subscriptions = SUBSCRIPTIONS.map((each) => ({ ...each, timeoutMs: 120_000 }));
  const options: ProgramOptions = { url: arena.url, lanes: LANES, subscriptions, stopTimeoutMs: 1500 };
  const stopping = await new Program(options).ready();
  // As many kinds as keys: one key is heeded, and the lanes of the others would go on for seconds.
  const kinds = ['heed', 'slow', 'slow', 'slow', 'slow', 'slow', 'slow', 'slow'] as const;
  await stopping.publish({ prefix: 'm', count: 120, kinds, keys: kinds.length, ms: 300, rollbackShare: 0 });
  await stopping.line('called', ({ kind }) => kind === 'heed');
  const { code, ms } = await stopping.stop();
  expect(code).toBe(0);
  expect(ms).toBeGreaterThan(1400);
  expect(ms).toBeLessThan(1500 + RETURN_MS + SLACK_MS);
  expect(stopping.said('aborted').length).toBeGreaterThan(0);
  expect(new Set(stopping.said('aborted').map((line) => line.code))).toEqual(new Set(['HF_STOPPING']));
  // What had been taken when it was told to stop may still be called, one in each lane and the rest of each batch; nothing is taken any more.
  const later = stopping.lines.slice(stopping.lines.findIndex(({ e }) => e === 'stopping'));
  const called = later.flatMap((line) => (line.e === 'called' ? [line.subscription] : []));
  for (const name of ['ordered', 'leased']) expect(called.filter((each) => each === name).length).toBeLessThanOrEqual(LANES);

  const next = await new Program({ ...options, subscriptions: subscriptions.map((each) => ({ ...each, isHeedless: true })) }).ready();
  const { faults } = await account(arena, [stopping, next], { ...PROMISES, minimum: 60 });
  expect(faults).toEqual([]);
  // An attempt that was given back is none.
  const [dead] = await arena.look<{ n: string }>(`select count(*) as n from effect where attempt > 1 and subscription <> 'leased'`);
  expect(dead?.n).toBe('0');
  expect((await next.stop()).code).toBe(0);
  await arena.close();
});
