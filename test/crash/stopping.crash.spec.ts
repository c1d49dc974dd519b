import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 8 },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000 },
];
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'] };

afterEach(killPrograms);

it('SIGTERM under load, twice: ends in time, loses and doubles nothing, and the next one goes on within a second', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 8, subscriptions: SUBSCRIPTIONS, stopTimeoutMs: 3000, publishesToTheEnd: true };
  const publishing = {
    prefix: 'load',
    perSecond: 80,
    concurrency: 8,
    kinds: ['ok', 'ok', 'slow', 'ok', 'throw-once', 'ok'],
    ms: 100,
  } as const;
  const stopping = await new Program({ ...options, publishing }).ready();
  await pause(1500);
  stopping.signal('SIGTERM');
  await pause(20);
  const { code, ms } = await stopping.stop();
  expect(code).toBe(0);
  expect(ms).toBeLessThan(3000 + 2000);

  const next = await new Program(options).ready();
  const readyAt = new Date();
  await next.publish({ count: 10 });
  const { faults } = await account(arena, [stopping, next], { ...PROMISES, minimum: 60 });
  expect(faults).toEqual([]);
  const [first] = await arena.look<{ ms: number }>(
    `select extract(epoch from min(at) - $1::timestamptz)::float8 * 1000 as ms from effect where pid = $2`,
    [readyAt, next.pid],
  );
  // A second, and as much again for a busy machine.
  expect(first?.ms).toBeLessThan(2000);
  expect((await next.stop()).code).toBe(0);
  await arena.close();
}, 60_000);

it('stopping begins nothing new, aborts what does not end, and gives it back', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 8, subscriptions: SUBSCRIPTIONS, stopTimeoutMs: 1500 };
  const stopping = await new Program(options).ready();
  await stopping.publish({ prefix: 'm', count: 60, kinds: ['slow', 'heed', 'slow'], ms: 300, rollbackShare: 0 });
  await pause(500);
  const { code, ms } = await stopping.stop();
  expect(code).toBe(0);
  expect(ms).toBeGreaterThan(1400);
  expect(ms).toBeLessThan(1500 + 2000 + 1000);
  expect(stopping.said('aborted').length).toBeGreaterThan(0);
  expect(new Set(stopping.said('aborted').map((line) => line.code))).toEqual(new Set(['HF_STOPPING']));
  // Those that had been taken when it was told to stop may still be called; nothing is taken any more.
  const begun = stopping.lines.slice(stopping.lines.findIndex(({ e }) => e === 'stopping')).filter(({ e }) => e === 'called');
  expect(begun.length).toBeLessThanOrEqual(SUBSCRIPTIONS.length);

  const next = await new Program({ ...options, subscriptions: SUBSCRIPTIONS.map((each) => ({ ...each, isHeedless: true })) }).ready();
  const { faults } = await account(arena, [stopping, next], { ...PROMISES, minimum: 60, patienceMs: 30_000 });
  expect(faults).toEqual([]);
  // An attempt that was given back is none.
  const [dead] = await arena.look<{ n: string }>(`select count(*) as n from effect where attempt > 1 and subscription <> 'leased'`);
  expect(dead?.n).toBe('0');
  expect((await next.stop()).code).toBe(0);
  await arena.close();
}, 90_000);
