import { strict as assert } from 'node:assert';
import { assertBetween, eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { BY, type Bus, gate, quiet, SOON } from './transport-kit.js';

const KEYED = { ordering: 'key', idempotent: true } as const;

/** Publishes them one after another. */
async function all(bus: Bus, key: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) await bus.publish(text, { key });
}

/** The order of a key, through failures, retries and dead letters. */
export const ORDER_FACTS: readonly TransportFact[] = [
  ...factsOf(
    "with ordering: 'key', messages",
    {
      'of a key are handled in their order, one at a time, and of different keys side by side': async (bench) => {
        const bus = await bench.bus();
        const inWork = new Map<string, number>();
        let most = 0;
        let mostOfKey = 0;
        bus.on(
          'reader',
          async ({ text }, { key = '' }) => {
            inWork.set(key, (inWork.get(key) ?? 0) + 1);
            most = Math.max(
              most,
              [...inWork.values()].reduce((sum, n) => sum + n, 0),
            );
            mostOfKey = Math.max(mostOfKey, ...inWork.values());
            await quiet(15);
            await bus.process.write(text);
            inWork.set(key, (inWork.get(key) ?? 0) - 1);
          },
          { ...KEYED, concurrency: 6 },
        );
        await bus.start();
        const keys = Array.from({ length: 12 }, (_, i) => `key ${i}`);
        await Promise.all(
          keys.map((key) =>
            all(
              bus,
              key,
              ['1', '2', '3', '4'].map((n) => `${key} ${n}`),
            ),
          ),
        );
        const written = await eventually(
          () => bench.system.written(),
          ({ length }) => length === 48,
        );
        for (const key of keys)
          assert.deepEqual(
            written.filter((text) => text.startsWith(`${key} `)),
            ['1', '2', '3', '4'].map((n) => `${key} ${n}`),
          );
        assert.equal(mostOfKey, 1);
        assertBetween(most, { least: 2 });
      },
      'wait behind one of their key that is tried again, and others do not': async (bench) => {
        const bus = await bench.bus();
        bus.on(
          'reader',
          async ({ text }, delivery) => {
            if (text === 'a1' && delivery.attempt < 3) throw new Error('not yet');
            await bus.process.write(text);
          },
          { ...KEYED, retry: { attempts: 5, backoff: { delay: 150, jitter: 'none' } } },
        );
        await bus.start();
        await all(bus, 'a', ['a1', 'a2', 'a3']);
        await all(bus, 'b', ['b1', 'b2']);
        const written = await eventually(
          () => bench.system.written(),
          ({ length }) => length === 5,
        );
        assert.deepEqual(
          written.filter((text) => text.startsWith('a')),
          ['a1', 'a2', 'a3'],
        );
        assert.deepEqual(
          written.filter((text) => text.startsWith('b')),
          ['b1', 'b2'],
        );
        assert.deepEqual(bus.attempts('reader a'), ['reader a1 1', 'reader a1 2', 'reader a1 3', 'reader a2 1', 'reader a3 1']);
      },
      "are blocked by a dead letter of their key until it is redriven (onDeadLetter: 'block')": async (bench) => {
        const bus = await bench.bus();
        let isRepaired = false;
        bus.on(
          'reader',
          async ({ text }) => {
            if (text === 'a1' && !isRepaired) throw new Error('broken');
            await bus.process.write(text);
          },
          { ...KEYED, onDeadLetter: 'block' },
        );
        await bus.start();
        await all(bus, 'a', ['a1', 'a2']);
        const { items } = await eventually(
          () => bus.holdfast.deadLetters.list(),
          (page) => page.items.length === 1,
        );
        await all(bus, 'a', ['a3']);
        await all(bus, 'b', ['b1']);
        assert.deepEqual(await bench.written(1), ['b1']);
        await quiet();
        assert.deepEqual(await bench.system.written(), ['b1']);
        isRepaired = true;
        await bus.holdfast.deadLetters.redrive(items[0]!.id, BY);
        await eventually(
          () => bench.system.written(),
          ({ length }) => length === 4,
        );
        assert.deepEqual(await bench.system.written(), ['b1', 'a1', 'a2', 'a3']);
      },
      'go on when the dead letter that blocked them is discarded': async (bench) => {
        const bus = await bench.bus();
        bus.on(
          'reader',
          async ({ text }) => {
            if (text === 'a1') throw new Error('broken');
            await bus.process.write(text);
          },
          { ...KEYED, onDeadLetter: 'block' },
        );
        await bus.start();
        await all(bus, 'a', ['a1', 'a2', 'a3']);
        const { items } = await eventually(
          () => bus.holdfast.deadLetters.list(),
          (page) => page.items.length === 1,
        );
        await bus.holdfast.deadLetters.discard(items[0]!.id, BY);
        await eventually(
          () => bench.system.written(),
          ({ length }) => length === 2,
        );
        assert.deepEqual(await bench.system.written(), ['a2', 'a3']);
      },
      "go on past a dead letter of their key where that is wanted (onDeadLetter: 'skip')": async (bench) => {
        const bus = await bench.bus();
        bus.on(
          'reader',
          async ({ text }) => {
            if (text === 'a1') throw new Error('broken');
            await bus.process.write(text);
          },
          { ...KEYED, onDeadLetter: 'skip' },
        );
        await bus.start();
        await all(bus, 'a', ['a1', 'a2', 'a3']);
        await eventually(
          () => bench.system.written(),
          ({ length }) => length === 2,
        );
        assert.deepEqual(await bench.system.written(), ['a2', 'a3']);
        assert.deepEqual(bus.attempts('reader a1'), ['reader a1 1', 'reader a1 2', 'reader a1 3']);
      },
      'of a batch that fails are in order all the same, and those of other keys are done': async (bench) => {
        const bus = await bench.bus();
        bus.on(
          'reader',
          async ({ text }, delivery) => {
            if (text === 'a2' && delivery.attempt === 1) throw new Error('not yet');
            await bus.process.write(text);
          },
          { ...KEYED, batchSize: 20 },
        );
        await bus.start();
        await bus.holdfast.unitOfWork.run({}, async () => {
          await all(bus, 'a', ['a1', 'a2', 'a3', 'a4']);
          await all(bus, 'b', ['b1', 'b2']);
        });
        const written = await eventually(
          () => bench.system.written(),
          ({ length }) => length === 6,
        );
        assert.deepEqual(
          written.filter((text) => text.startsWith('a')),
          ['a1', 'a2', 'a3', 'a4'],
        );
        assert.deepEqual(
          written.filter((text) => text.startsWith('b')),
          ['b1', 'b2'],
        );
      },
      'that come without a key are parked, because nothing says where they belong': async (bench) => {
        const bus = await bench.bus();
        bus.writer('reader', KEYED);
        await bus.start();
        await bus.publish('lost');
        await bus.publish('a', { key: 'a' });
        const { items } = await eventually(
          () => bus.holdfast.deadLetters.list(),
          (page) => page.items.length === 1,
        );
        assert.equal(items[0]?.error.code, 'HF_ORDERING_KEY_MISSING');
        assert.deepEqual(await bench.written(1), ['reader a']);
      },
      'handled outside any transaction keep their order as well': async (bench) => {
        const bus = await bench.bus();
        bus.on(
          'caller',
          (_message, delivery) => (delivery.attempt === 1 && delivery.key === 'a' ? Promise.reject(new Error('gateway')) : undefined),
          {
            ...KEYED,
            transactional: false,
          },
        );
        await bus.start();
        await all(bus, 'a', ['a1', 'a2', 'a3']);
        await all(bus, 'b', ['b1']);
        await eventually(
          () => bus.attempts('caller'),
          ({ length }) => length === 7,
        );
        assert.deepEqual(bus.attempts('caller a'), [
          'caller a1 1',
          'caller a1 2',
          'caller a2 1',
          'caller a2 2',
          'caller a3 1',
          'caller a3 2',
        ]);
      },
    },
    ({ partitionedDelivery }) => partitionedDelivery,
  ),
  ...factsOf(
    "with ordering: 'key' over several processes, messages",
    {
      'of a key are handled in their order, by one process at a time': async (bench) => {
        const buses = [await bench.bus(), await bench.bus(), await bench.bus()];
        const inWork = new Set<string>();
        const overlaps: string[] = [];
        for (const bus of buses) {
          bus.on(
            'reader',
            async ({ text }, { key = '', attempt }) => {
              if (inWork.has(key)) overlaps.push(text);
              inWork.add(key);
              await quiet(5);
              inWork.delete(key);
              if (attempt === 1 && text.endsWith('3')) throw new Error('not yet');
              await bus.process.write(text);
            },
            { ...KEYED, retry: SOON, concurrency: 4 },
          );
          await bus.start();
        }
        const keys = Array.from({ length: 8 }, (_, i) => `key ${i}`);
        await Promise.all(
          keys.map((key, i) =>
            all(
              buses[i % 3]!,
              key,
              ['1', '2', '3', '4', '5'].map((n) => `${key} ${n}`),
            ),
          ),
        );
        const written = await eventually(
          () => bench.system.written(),
          ({ length }) => length >= 40,
        );
        for (const key of keys)
          assert.deepEqual(
            written.filter((text) => text.startsWith(`${key} `)),
            ['1', '2', '3', '4', '5'].map((n) => `${key} ${n}`),
          );
        assert.deepEqual(overlaps, []);
      },
    },
    ({ sharedSubscriptions, partitionedDelivery }) => sharedSubscriptions && partitionedDelivery,
  ),
  ...factsOf('without ordering, messages', {
    'of a key do not wait for one that is tried again': async (bench) => {
      const bus = await bench.bus();
      const repaired = gate();
      bus.on('reader', async ({ text }, delivery) => {
        if (text === 'a1' && delivery.attempt === 1) throw new Error('not yet');
        if (text === 'a1') await repaired.opened;
        await bus.process.write(text);
      });
      await bus.start();
      await all(bus, 'a', ['a1', 'a2', 'a3']);
      await eventually(
        () => bench.system.written(),
        ({ length }) => length === 2,
      );
      repaired.open();
      assert.deepEqual(await bench.written(3), ['a1', 'a2', 'a3']);
    },
  }),
];
