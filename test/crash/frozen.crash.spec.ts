import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions, Publishing } from './programs/options.js';
import { account, pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

/** What the design promises for what a dead or frozen process had in its hands. */
const TAKE_OVER_MS = 10_000;
const FROZEN_MS = 16_000;
const BEAT_MS = 100;

const ONCE = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 4 },
];
const LEASED = { name: 'leased', isTransactional: false, lockTtlMs: 2000 };
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'] };

/** Until a program that tells its memory all the time has said nothing for a while. */
async function frozen(program: Program): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (let last = -1; program.lines.length !== last; await pause(600)) {
    if (performance.now() > deadline) throw new Error('The program has not frozen');
    last = program.lines.length;
  }
}

afterEach(killPrograms);

it('a writer frozen between INSERT and COMMIT delays only itself', async () => {
  const arena = await openArena();
  const options = { url: arena.url, lanes: 2 };
  const consumer = await new Program({ ...options, subscriptions: ONCE }).ready();
  const writer = new Program({ ...options, subscriptions: [], memoryEveryMs: BEAT_MS }, { failpoint: 'unit:after-outbox=freeze:6000@3' });
  await writer.ready();
  writer.order({ publish: { prefix: 'late', count: 4, keys: 0, concurrency: 1, rollbackShare: 0 } });
  await frozen(writer);
  await consumer.publish({ count: 60 });
  const meanwhile = await account(arena, [writer, consumer], { ...PROMISES, minimum: 50, patienceMs: 4000 });
  expect(meanwhile.faults).toEqual([]);
  expect(writer.said('acknowledged')).toHaveLength(2);

  await writer.line('published');
  const finally_ = await account(arena, [writer, consumer], { ...PROMISES, minimum: 50, patienceMs: 4000 });
  expect(finally_.faults).toEqual([]);
  expect(writer.said('acknowledged')).toHaveLength(4);
  await arena.close();
}, 60_000);

it('what a killed and a frozen process had in work is taken over, and nothing doubles when the frozen one wakes', async () => {
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
  const promises = { ...PROMISES, atLeastOnce: ['leased'], minimum: 50, patienceMs: 20_000 };
  const taken = await account(arena, programs, promises);
  expect(taken.faults).toEqual([]);
  // 15 messages of 300 ms for three subscriptions are work of their own.
  expect(performance.now() - struck).toBeLessThan(TAKE_OVER_MS + 4000);

  sleeping.signal('SIGCONT');
  const woken = new Date();
  await sleeping.line('log', ({ message }) => message.startsWith('this process was silent'));
  await pause(1500);
  await healthy.publish({ count: 60 });
  expect((await account(arena, programs, promises)).faults).toEqual([]);
  const [again] = await arena.look<{ n: string }>('select count(*) as n from effect where pid = $1 and at > $2', [sleeping.pid, woken]);
  expect(Number(again?.n)).toBeGreaterThan(0);
  await arena.close();
}, 90_000);

interface Place {
  readonly at: FailpointName;
  readonly publishing?: Omit<Publishing, 'prefix'>;
  readonly options?: Partial<ProgramOptions>;
  /** It freezes over what another process has left. */
  readonly isAfterWork?: true;
}

const PLACES: readonly Place[] = [
  { at: 'claim:after-read' },
  { at: 'delivery:after-take', publishing: { kinds: ['ok', 'throw-once'] } },
  { at: 'lease:after-handler', options: { subscriptions: [...ONCE, LEASED] } },
  { at: 'scheduled:after-move', publishing: { delayMs: 50 } },
  { at: 'fence:before-verdict', publishing: { rollbackShare: 0.4 } },
  { at: 'trim:after-delete', options: { retentionMs: 1 }, isAfterWork: true },
];

describe('a process frozen in the midst of', () => {
  it.concurrent.each(PLACES)(
    '$at: another one takes over all it held',
    async ({ at, publishing, options, isAfterWork }) => {
      const arena = await openArena();
      const full: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: ONCE, ...options };
      const before: Program[] = [];
      if (isAfterWork) {
        const program = await new Program(full).ready();
        await program.publish({ count: 20 });
        await account(arena, [program], { ...PROMISES, minimum: 1 });
        await program.stop();
        before.push(program);
      }
      const sleeping = new Program({ ...full, memoryEveryMs: BEAT_MS }, { failpoint: `${at}=freeze:${FROZEN_MS}` });
      await sleeping.line('ready', () => true, 30_000);
      sleeping.order({ publish: { prefix: 'first', count: 30, ...publishing } });
      await frozen(sleeping);
      const slept = performance.now();
      const healthy = await new Program(full).ready();
      healthy.order({ publish: { prefix: 'second', count: 20, ...publishing } });
      const programs = [...before, sleeping, healthy];
      const atLeastOnce = full.subscriptions.includes(LEASED) ? ['leased'] : [];
      const taken = await account(arena, programs, { ...PROMISES, atLeastOnce, minimum: 1, patienceMs: FROZEN_MS });
      const took = performance.now() - slept;

      await sleeping.line('published', () => true, 30_000);
      await pause(1000);
      const woken = await account(arena, programs, { ...PROMISES, atLeastOnce, minimum: 10 });
      expect({ taken: taken.faults, woken: woken.faults }).toEqual({ taken: [], woken: [] });
      expect(took).toBeLessThan(TAKE_OVER_MS + 3000);
      await arena.close();
    },
    90_000,
  );
});
