import { strict as assert } from 'node:assert';
import type { FailurePauseOptions } from '../../delivery/failure-pause-options.js';
import { subscribe } from '../../monitoring/events.js';
import { assertBetween, eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { type Bench, gate, quiet } from './transport-kit.js';

/** Judges soon, and probes soon. */
const PAUSE: FailurePauseOptions = { messages: 5, share: 0.5, delay: 200, maxDelay: 400 };
/** With these, all attempts are used up in less than a second. */
const HASTY = { attempts: 8, backoff: { delay: 20, factor: 1.5, jitter: 'none' } } as const;
const MESSAGES = 60;
/** Pauses until the calls of an outage are counted: how many probes a second has is up to the machine. */
const COUNTED_PAUSES = 4;

/** What came of an outage: how often the handler was called until it had paused a few times, and what was written in the end, in order. */
interface Outage {
  readonly calls: number;
  readonly written: readonly string[];
  readonly deadLetters: number;
  readonly pauses: number;
}

let outages = 0;

/** Messages meet a handler that fails, for a second; then it is repaired. */
async function outage(bench: Bench, policies: object): Promise<Outage> {
  const bus = await bench.bus();
  // Events are of the whole process, where other cases may run.
  outages += 1;
  const name = `reader-${outages}`;
  const reader = `contract.${name}`;
  let isDown = true;
  let pauses = 0;
  let isPaused = false;
  let calls = 0;
  const unsubscribe = [
    subscribe('subscription:paused', ({ subscription, reason }) => {
      if (subscription !== reader || reason !== 'failures') return;
      pauses += 1;
      isPaused = true;
      if (pauses === COUNTED_PAUSES) calls = bus.seen.length;
    }),
    subscribe('subscription:resumed', ({ subscription }) => {
      if (subscription === reader) isPaused = false;
    }),
  ];
  const work = async ({ text }: { readonly text: string }) => {
    if (isDown) throw new Error('the gateway is down');
    await bus.process.write(text);
  };
  await bus.on(name, work, { retry: HASTY, idempotent: true, failurePause: PAUSE, concurrency: 6, ...policies }).start();
  // Within a key one after another, because their order is looked at.
  const texts = Array.from({ length: MESSAGES }, (_, i) => `${100 + i}`);
  await bus.holdfast.unitOfWork.run(async () => {
    for (const [i, text] of texts.entries()) await bus.publish(text, { key: `key ${i % 6}` });
  });
  await eventually(
    () => pauses,
    (count) => count > 0,
  );
  const health = await bus.holdfast.health();
  assert.equal(health.status, 'degraded');
  assert.deepEqual(health.paused, [{ subscription: reader, reason: 'failures' }]);
  await quiet(1000);
  await eventually(
    () => pauses,
    (count) => count >= COUNTED_PAUSES,
  );
  isDown = false;
  await bench.written(MESSAGES);
  await eventually(
    () => isPaused,
    (is) => !is,
  );
  for (const each of unsubscribe) each();
  const deadLetters = (await bus.holdfast.deadLetters.list()).items.length;
  return { calls, written: await bench.system.written(), deadLetters, pauses };
}

/** What becomes of a backlog when a handler fails for a while. */
export const FAILURE_FACTS: readonly TransportFact[] = [
  ...factsOf('an outage of a handler', {
    'does not use up the attempts of what waits: the subscription pauses, probes, and goes on': async (bench) => {
      const { calls, written, deadLetters, pauses } = await outage(bench, {});
      assert.deepEqual(
        [...written].sort(),
        Array.from({ length: MESSAGES }, (_, i) => `${100 + i}`),
      );
      assert.equal(deadLetters, 0);
      assertBetween(pauses, { least: 2 });
      // Until it pauses: as many as are looked at, and those that were in work. Then a probe each time.
      assertBetween(calls, { most: MESSAGES / 2 });
    },
    'does not use up the attempts of a batch': async (bench) => {
      const { calls, written, deadLetters } = await outage(bench, { batchSize: 10 });
      // A batch is tried once before its messages are tried one by one.
      assertBetween(calls, { most: 2 * MESSAGES });
      assert.equal(new Set(written).size, MESSAGES);
      assert.equal(deadLetters, 0);
    },
    'does not use up the attempts of what is handled outside any transaction': async (bench) => {
      const { calls, written, deadLetters } = await outage(bench, { transactional: false });
      assertBetween(calls, { most: MESSAGES / 2 });
      assert.equal(new Set(written).size, MESSAGES);
      assert.equal(deadLetters, 0);
    },
  }),
  ...factsOf(
    "an outage of a handler with ordering: 'key'",
    {
      'leaves the order of each key as it was': async (bench) => {
        const { written, deadLetters } = await outage(bench, { ordering: 'key' });
        assert.equal(deadLetters, 0);
        for (let key = 0; key < 6; key += 1) {
          const ofKey = written.filter((text) => (Number(text) - 100) % 6 === key);
          assert.deepEqual(ofKey, [...ofKey].sort());
          assert.equal(ofKey.length, MESSAGES / 6);
        }
      },
    },
    ({ partitionedDelivery }) => partitionedDelivery,
  ),
  ...factsOf(
    'without a store',
    {
      'an outage of a handler costs a bounded number of messages: the others wait until it goes on': async (bench) => {
        const bus = await bench.bus({ store: undefined });
        let isDown = true;
        const handled = new Set<string>();
        // What is lost is counted by the time of the outage, in which nothing is published any more.
        const published = gate();
        const work = async ({ text }: { readonly text: string }) => {
          await published.opened;
          if (isDown) throw new Error('down');
          handled.add(text);
        };
        const retry = { attempts: 2, backoff: { delay: 1, factor: 1, jitter: 'none' } } as const;
        await bus.on('reader', work, { transactional: false, retry, failurePause: PAUSE, concurrency: 4 }).start();
        for (let i = 0; i < MESSAGES; i += 1) await bus.publish(`${i}`);
        published.open();
        await quiet(1000);
        isDown = false;
        await eventually(
          () => handled.size,
          (size) => size >= MESSAGES / 2,
        );
      },
    },
    ({ withoutStore }) => withoutStore,
  ),
  ...factsOf('a few messages that always fail', {
    'do not hold the others back': async (bench) => {
      const bus = await bench.bus();
      const isBad = (text: string) => text.startsWith('bad');
      const pauses: unknown[] = [];
      const unsubscribe = subscribe('subscription:paused', (facts) => facts.subscription === 'contract.patient' && pauses.push(facts));
      bus.on(
        'patient',
        async ({ text }) => {
          if (isBad(text)) throw new Error('always');
          await bus.process.write(text);
        },
        { retry: { ...HASTY, attempts: 10 }, failurePause: { ...PAUSE, messages: 10, delay: '1m', maxDelay: '1m' } },
      );
      await bus.start();
      for (const text of ['bad 1', 'bad 2', 'bad 3', ...Array.from({ length: 30 }, (_, i) => `${i}`)]) await bus.publish(text);
      assert.equal((await bench.written(30)).length, 30);
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        ({ items }) => items.length === 3,
      );
      unsubscribe();
      assert.deepEqual(pauses, []);
    },
  }),
];
