import { strict as assert } from 'node:assert';
import { NonRetryableError } from '../../errors/non-retryable-error.js';
import { assertBetween, assertFields, eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { BY, Other, quiet, SOON, Strict } from './transport-kit.js';

/** Who gets a message, how often, and what becomes of one that cannot be handled. */
export const DELIVERY_FACTS: readonly TransportFact[] = [
  ...factsOf('a message', {
    'reaches every subscription of its type, and no other': async (bench) => {
      const bus = await bench.bus();
      bus.writer('one').writer('two');
      bus.holdfast.on(Other, () => bus.process.write('other'), { name: 'contract.other', transactional: true });
      await bus.start();
      await bus.publish('a');
      assert.deepEqual(await bench.written(2), ['one a', 'two a']);
      await quiet();
      assert.deepEqual(await bench.written(2), ['one a', 'two a']);
    },
    'arrives as it was published: data, id, key, headers, time, conversation': async (bench) => {
      const bus = await bench.bus();
      bus.on('reader', async ({ text }) => {
        if (text === 'first 🔑') await bus.publish('answer');
      });
      await bus.start();
      const before = Date.now();
      const ref = await bus.publish('first 🔑', {
        key: 'ключ "1"\n🔑',
        headers: { 'x-note': 'grüße, мир ✓', empty: '' },
        id: 'order/1',
        correlationId: 'talk 7',
      });
      assert.deepEqual(ref, { id: 'order/1', source: 'contract' });
      const [first, answer] = await eventually(
        () => bus.deliveries,
        ({ length }) => length === 2,
      );
      assertFields(first, {
        id: 'order/1',
        source: 'contract',
        type: 'contract.happened',
        version: 1,
        key: 'ключ "1"\n🔑',
        correlationId: 'talk 7',
        attempt: 1,
        subscription: 'contract.reader',
      });
      assert.deepEqual({ ...first?.headers }, { 'x-note': 'grüße, мир ✓', empty: '' });
      assertBetween(Math.abs(first!.time.getTime() - before), { most: 60_000 });
      assertFields(answer, { causationId: 'order/1', correlationId: 'talk 7', key: undefined });
    },
    'that was rolled back is never seen, and neither is one of a handler that failed': async (bench) => {
      const bus = await bench.bus();
      bus.writer('reader');
      bus.holdfast.on(
        Other,
        async (_message, delivery) => {
          await bus.publish(`of attempt ${delivery.attempt}`);
          if (delivery.attempt === 1) throw new Error('failed');
        },
        { name: 'contract.forwarder', transactional: true, retry: SOON },
      );
      await bus.start();
      const unit = bus.holdfast.unitOfWork.run({}, async () => {
        await bus.publish('never');
        throw new Error('the business changed its mind');
      });
      await assert.rejects(unit, /changed its mind/);
      await bus.holdfast.bus.publish(new Other(''));
      assert.deepEqual(await bench.written(1), ['reader of attempt 2']);
      await quiet();
      assert.deepEqual(await bench.system.written(), ['reader of attempt 2']);
    },
    'is handled by the others, once, while one handler fails': async (bench) => {
      const bus = await bench.bus();
      bus.writer('good');
      bus.on('bad', async ({ text }) => {
        await bus.process.write(`bad ${text}`);
        throw new Error('always');
      });
      await bus.start();
      await bus.publish('a');
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        ({ items }) => items.length === 1,
      );
      assert.deepEqual(await bench.written(1), ['good a']);
      assert.deepEqual(
        bus.seen.filter((each) => each.startsWith('good')),
        ['good a 1'],
      );
      assert.deepEqual(bus.attempts('bad'), ['bad a 1', 'bad a 2', 'bad a 3']);
      assert.deepEqual(await bench.system.written(), ['good a']);
    },
    'has one effect in an idempotent subscription, though it is published many times': async (bench) => {
      const bus = await bench.bus();
      bus.writer('once').on('always', () => undefined);
      await bus.start();
      await Promise.all(Array.from({ length: 50 }, () => bus.publish('a', { id: 'same' })));
      await eventually(
        () => bus.seen.filter((each) => each.startsWith('always')),
        ({ length }) => length >= 50,
      );
      await bus.holdfast.settled(30_000);
      assert.deepEqual(await bench.written(1), ['once a']);
      assert.deepEqual(
        bus.seen.filter((each) => each.startsWith('once')),
        ['once a 1'],
      );
      await bus.publish('a', { id: 'same', key: 'elsewhere' });
      await quiet();
      assert.deepEqual(await bench.system.written(), ['once a']);
      assert.deepEqual((await bus.holdfast.deadLetters.list()).items, []);
    },
    'has one effect per key of the business where one is given': async (bench) => {
      const bus = await bench.bus();
      bus.writer('once', { idempotent: { key: ({ text }) => text.split(' ')[0] as string } });
      await bus.start();
      for (const text of ['order-1 a', 'order-1 b', 'order-2 c']) await bus.publish(text);
      await eventually(
        () => bench.system.written(),
        ({ length }) => length >= 2,
      );
      await bus.holdfast.settled(30_000);
      assert.deepEqual((await bench.system.written()).map((text) => text.split(' ')[1]).sort(), ['order-1', 'order-2']);
    },
  }),
  ...factsOf('a handler that fails', {
    'is called again after its wait, with the count of the attempt, and its effect is there once': async (bench) => {
      const bus = await bench.bus();
      const at: number[] = [];
      bus.on(
        'reader',
        async ({ text }, delivery) => {
          at.push(performance.now());
          await bus.process.write(`${text} by attempt ${delivery.attempt}`);
          if (delivery.attempt < 3) throw new Error('not yet');
        },
        { retry: { attempts: 5, backoff: { delay: 150, factor: 2, jitter: 'none' } } },
      );
      await bus.start();
      await bus.publish('a');
      assert.deepEqual(await bench.written(1), ['a by attempt 3']);
      assert.deepEqual(bus.attempts('reader'), ['reader a 1', 'reader a 2', 'reader a 3']);
      assert.equal(bus.deliveries[0]?.isRedelivery, false);
      assert.equal(bus.deliveries.at(-1)?.isRedelivery, true);
      const [first, second, third] = [1, 2, 3].map((attempt) => at[bus.deliveries.findIndex((delivery) => delivery.attempt === attempt)]!);
      assertBetween(second! - first!, { least: 149 });
      assertBetween(third! - second!, { least: 299 });
    },
    'ends as a dead letter when its attempts are used up, and is handled when a person redrives it': async (bench) => {
      const bus = await bench.bus();
      let isRepaired = false;
      bus.on('reader', async ({ text }) => {
        if (!isRepaired) throw new TypeError('broken');
        await bus.process.write(text);
      });
      await bus.start();
      await bus.publish('a', { key: 'k', id: 'm' });
      const { items } = await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 1,
      );
      assertFields(items[0], {
        subscription: 'contract.reader',
        message: { id: 'm', source: 'contract', type: 'contract.happened', key: 'k' },
        attempts: 3,
        error: { message: 'broken' },
      });
      assert.match(items[0]!.error.stack ?? '', /broken/);
      isRepaired = true;
      assert.deepEqual(await bus.holdfast.deadLetters.redrive(items[0]!.id, BY), { count: 1 });
      assert.deepEqual(await bench.written(1), ['a']);
      assert.deepEqual(bus.attempts('reader'), ['reader a 1', 'reader a 2', 'reader a 3']);
      assert.equal(bus.seen.at(-1), 'reader a 1');
      await bus.holdfast.settled(30_000);
      assert.deepEqual((await bus.holdfast.deadLetters.list()).items, []);
    },
    'leaves a dead letter that can be discarded': async (bench) => {
      const bus = await bench.bus();
      bus.on('reader', () => Promise.reject(new NonRetryableError('refused')));
      await bus.start();
      await bus.publish('a');
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        ({ items }) => items.length === 1,
      );
      assert.deepEqual(await bus.holdfast.deadLetters.discard({ subscription: 'contract.reader' }, BY), { count: 1 });
      await quiet();
      assert.deepEqual((await bus.holdfast.deadLetters.list()).items, []);
      assert.deepEqual(bus.seen, ['reader a 1']);
    },
    'is not tried again for what its author calls hopeless': async (bench) => {
      const bus = await bench.bus();
      bus.on('hopeless', () => Promise.reject(new NonRetryableError('refused')));
      bus.on('asked', () => Promise.reject(new Error('no')), {
        retry: { ...SOON, retryIf: (error, attempt) => (error as Error).message === 'no' && attempt < 2 },
      });
      await bus.start();
      await bus.publish('a');
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        ({ items }) => items.length === 2,
      );
      assert.deepEqual(bus.attempts('').sort(), ['asked a 1', 'asked a 2', 'hopeless a 1']);
    },
    'is called again when the commit fails, and its effect is there once': async (bench) => {
      const bus = await bench.bus();
      bus.on(
        'reader',
        async ({ text }, delivery) => {
          await bus.process.write(text);
          if (delivery.attempt === 1) await bus.process.spoil();
        },
        { idempotent: true },
      );
      await bus.start();
      await bus.publish('a');
      assert.deepEqual(await bench.written(1), ['a']);
      await bus.holdfast.settled(30_000);
      assert.deepEqual(bus.attempts('reader'), ['reader a 1', 'reader a 2']);
      assert.deepEqual(await bench.system.written(), ['a']);
    },
    'is given up at its time-out, told so, and undone': async (bench) => {
      const bus = await bench.bus();
      const aborted: boolean[] = [];
      bus.on(
        'reader',
        async ({ text }, delivery) => {
          if (delivery.attempt > 1) return bus.process.write(text);
          const { signal } = delivery;
          await bus.process.write('half done');
          // A signal that is aborted already tells no listener.
          if (!signal.aborted)
            await new Promise<void>((resolve) => {
              signal.addEventListener('abort', () => resolve(), { once: true });
            });
          aborted.push(signal.aborted);
          return undefined;
        },
        { timeout: 5000 },
      );
      await bus.start();
      await bus.publish('a');
      assert.deepEqual(await bench.written(1), ['a']);
      assert.deepEqual(aborted, [true]);
      assert.deepEqual(bus.attempts('reader'), ['reader a 1', 'reader a 2']);
    },
  }),
  ...factsOf('a message that cannot be read', {
    'is parked with its body and the reason, and the next one is handled': async (bench) => {
      const bus = await bench.bus();
      bus.on('strict', ({ text }) => bus.process.write(text), { type: Strict });
      await bus.start();
      for (const text of ['bad 1', 'good', 'bad 2']) await bus.publish(text, { key: 'k' });
      const { items } = await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 2,
      );
      assert.deepEqual(await bench.written(1), ['good']);
      assert.deepEqual(
        items
          .map(({ error, body }) => ({ code: error.code, body: Buffer.from(body).toString() }))
          .sort((a, b) => (a.body < b.body ? -1 : 1)),
        [
          { code: 'HF_MESSAGE_INVALID', body: '{"text":"bad 1"}' },
          { code: 'HF_MESSAGE_INVALID', body: '{"text":"bad 2"}' },
        ],
      );
      assert.deepEqual(bus.seen, ['strict good 1']);
    },
    'does not disturb the batch it came in': async (bench) => {
      const bus = await bench.bus();
      bus.on('strict', ({ text }) => bus.process.write(text), { type: Strict, batchSize: 10 });
      await bus.start();
      await bus.holdfast.unitOfWork.run({}, async () => {
        for (const text of ['good 1', 'bad', 'good 2']) await bus.publish(text);
      });
      assert.deepEqual(await bench.written(2), ['good 1', 'good 2']);
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 1,
      );
      assert.deepEqual([...bus.seen].sort(), ['strict good 1 1', 'strict good 2 1']);
    },
  }),
  ...factsOf('a batch', {
    'is one commit, and when one message fails only that one pays': async (bench) => {
      const bus = await bench.bus();
      bus.on(
        'reader',
        async ({ text }) => {
          await bus.process.write(text);
          if (text === 'bad') throw new Error('always');
        },
        { idempotent: true, batchSize: 10 },
      );
      await bus.start();
      await bus.holdfast.unitOfWork.run({}, async () => {
        for (const text of ['a', 'b', 'bad', 'c', 'd']) await bus.publish(text);
      });
      const { items } = await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 1,
      );
      assert.deepEqual(await bench.written(4), ['a', 'b', 'c', 'd']);
      assert.equal(Buffer.from(items[0]!.body).toString(), '{"text":"bad"}');
      assert.equal(bus.seen.filter((each) => each.includes('bad')).at(-1), 'reader bad 3');
      assert.deepEqual(
        bus.seen.filter((each) => !each.includes('bad') && !each.endsWith(' 1')),
        [],
      );
    },
    'holds a message twice with one effect': async (bench) => {
      const bus = await bench.bus();
      bus.writer('once', { batchSize: 10 });
      await bus.start();
      await bus.holdfast.unitOfWork.run({}, async () => {
        for (let i = 0; i < 5; i += 1) await bus.publish('a', { id: 'same' });
        await bus.publish('b');
      });
      assert.deepEqual(await bench.written(2), ['once a', 'once b']);
      await bus.holdfast.settled(30_000);
      assert.deepEqual(await bench.written(2), ['once a', 'once b']);
    },
  }),
  ...factsOf('a handler outside any transaction', {
    'is called once per message, and again when it failed': async (bench) => {
      const bus = await bench.bus();
      bus.on('caller', (_message, delivery) => (delivery.attempt === 1 ? Promise.reject(new Error('gateway')) : undefined), {
        transactional: false,
      });
      await bus.start();
      await bus.publish('a');
      await bus.publish('b');
      await eventually(
        () => bus.attempts('caller'),
        ({ length }) => length === 4,
      );
      await quiet();
      assert.deepEqual(bus.attempts('caller').sort(), ['caller a 1', 'caller a 2', 'caller b 1', 'caller b 2']);
    },
    'is called once for a message that is published many times at once, when it is idempotent': async (bench) => {
      const bus = await bench.bus();
      bus.on('caller', () => quiet(50), { transactional: false, idempotent: true });
      await bus.start();
      await Promise.all(Array.from({ length: 10 }, () => bus.publish('a', { id: 'same' })));
      await eventually(
        () => bus.seen,
        ({ length }) => length >= 1,
      );
      await quiet(600);
      await bus.holdfast.settled(30_000);
      assert.deepEqual(bus.seen, ['caller a 1']);
      assert.deepEqual((await bus.holdfast.deadLetters.list()).items, []);
    },
    'is parked with what it cannot read, and goes on': async (bench) => {
      const bus = await bench.bus();
      bus.on('strict', () => undefined, { type: Strict, transactional: false });
      await bus.start();
      await bus.publish('bad');
      await bus.publish('good');
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 1,
      );
      await eventually(
        () => bus.seen,
        ({ length }) => length === 1,
      );
      assert.deepEqual(bus.seen, ['strict good 1']);
    },
  }),
];
