import { measured } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { stopped, untilAtWork } from './support/frozen.js';
import { killPrograms, Program } from './support/program.js';

/** What the design promises for what a dead or frozen process had in its hands. */
const TAKE_OVER_MS = 10_000;
/** 15 messages of 300 ms for three subscriptions are work of their own; the rest is for a busy machine. */
const WORK_MS = 16_000;

const ONCE = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 4 },
];
const LEASED = { name: 'leased', isTransactional: false, lockTtlMs: 2000 };
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'] };

afterEach(killPrograms);

it('a writer frozen between INSERT and COMMIT delays only itself', async () => {
  const arena = await openArena();
  const options = { url: arena.url, lanes: 2 };
  const consumer = await new Program({ ...options, subscriptions: ONCE }).ready();
  const writer = new Program({ ...options, subscriptions: [] }, { failpoint: 'unit:after-join=stop@3' });
  await writer.ready();
  writer.order({ publish: { prefix: 'late', count: 4, keys: 1, keyPrefix: 'its-own', concurrency: 1, rollbackShare: 0, isJoined: true } });
  await stopped(writer);
  await consumer.publish({ count: 60 });
  const meanwhile = await account(arena, [writer, consumer], { ...PROMISES, minimum: 50 });
  expect(meanwhile.faults).toEqual([]);
  expect(writer.said('acknowledged')).toHaveLength(2);

  writer.signal('SIGCONT');
  await writer.line('published');
  const finally_ = await account(arena, [writer, consumer], { ...PROMISES, minimum: 50 });
  expect(finally_.faults).toEqual([]);
  expect(writer.said('acknowledged')).toHaveLength(4);
  await arena.close();
});

/** One of three processes is killed and one is frozen. How long it takes until the third has done all the work. */
async function takeOver(): Promise<number> {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 8, subscriptions: [...ONCE, LEASED] };
  const programs = await Promise.all([0, 1, 2].map(() => new Program(options).ready()));
  const [killed, sleeping, healthy] = programs as [Program, Program, Program];
  healthy.order({ publish: { prefix: 'load', count: 60, perSecond: 60, kinds: ['slow', 'ok', 'throw-once', 'ok'], ms: 300 } });
  await pause(700);
  killed.signal('SIGKILL');
  sleeping.signal('SIGSTOP');
  const struck = performance.now();
  await healthy.line('published');
  const promises = { ...PROMISES, atLeastOnce: ['leased'], minimum: 50 };
  const taken = await account(arena, programs, promises);
  expect(taken.faults).toEqual([]);
  const tookMs = performance.now() - struck;

  // Also what had nothing in work is missed, a little later.
  while ((await arena.look('select from holdfast_node')).length > 1) await pause(100);
  sleeping.signal('SIGCONT');
  await sleeping.line('log', ({ message }) => message.startsWith('this process was silent'));
  // What would be one too many comes late.
  await pause(1500);
  await untilAtWork(arena, sleeping, healthy);
  expect((await account(arena, programs, promises)).faults).toEqual([]);
  await killPrograms();
  await arena.close();
  return tookMs;
}

it('what a killed and a frozen process had in work is taken over, and nothing doubles when the frozen one wakes', async () => {
  const tookMs = await measured(takeOver, (ms) => ms < TAKE_OVER_MS + WORK_MS);
  expect(tookMs).toBeLessThan(TAKE_OVER_MS + WORK_MS);
});
