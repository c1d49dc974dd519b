import { strict as assert } from 'node:assert';
import type { HandlerPolicies } from '../../delivery/subscription-options.js';
import { Holdfast } from '../../holdfast.js';
import { silentLogger } from '../../monitoring/logger.js';
import type { HoldfastOptions } from '../../options.js';
import { assertBetween, assertIncludes, eventually } from './assertions.js';
import type { TransportCapabilities } from '../../transport/transport.port.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { anywhere, BY, type Bench, gate, Happened, inProduction, quiet, SOON } from './transport-kit.js';

/** Start, stop, pause; what is refused. */
export const LIFECYCLE_FACTS: readonly TransportFact[] = [
  ...factsOf('a delayed message', {
    'comes not before its time, and then': async (bench) => {
      const bus = await bench.bus();
      const at = new Map<string, number>();
      bus.on('reader', ({ text }) => at.set(text, Date.now()));
      await bus.start();
      const begin = Date.now();
      await bus.publish('now');
      await bus.publish('delayed', { delay: 1500 });
      await bus.publish('at', { at: new Date(begin + 1800) });
      await eventually(
        () => at.size,
        (size) => size === 3,
      );
      // The database and this process read one clock here, to the millisecond.
      assertBetween(at.get('delayed')! - begin, { least: 1499 });
      assertBetween(at.get('at')! - begin, { least: 1799 });
      assertBetween(at.get('now')!, { most: at.get('delayed')! });
    },
    'is as old as its due time says, not as its publish: a subscription that remembers for less than the delay handles it': async (
      bench,
    ) => {
      const bus = await bench.bus();
      bus.writer('reader', { idempotent: { ttl: '15s' } });
      await bus.start();
      await bus.publish('delayed', { delay: '15500ms' });
      await bus.publish('at', { at: new Date(Date.now() + 15_500) });
      assert.deepEqual(await bench.written(2), ['reader at', 'reader delayed']);
      assert.deepEqual((await bus.holdfast.deadLetters.list()).items, []);
    },
  }),
  ...factsOf(
    'a new subscription',
    {
      "begins with what commits from now on (from: 'now')": async (bench) => {
        const before = await bench.bus();
        before.on('first', () => undefined);
        await before.start();
        await before.publish('before');
        await eventually(
          () => before.seen,
          ({ length }) => length === 1,
        );
        const bus = await bench.bus();
        const once = onceWith(bench.capabilities);
        bus.on('first', () => undefined, once).on('second', () => undefined, once);
        await bus.start();
        await bus.publish('after');
        await eventually(
          () => bus.seen,
          (seen) => seen.some((each) => each.startsWith('second')),
        );
        await quiet();
        assert.deepEqual(
          bus.seen.filter((each) => each.startsWith('second')),
          ['second after 1'],
        );
      },
    },
    // Where each process has subscriptions of its own, all of them end with it, and there is no earlier message to be left out.
    ({ sharedSubscriptions }) => sharedSubscriptions,
  ),
  ...factsOf(
    'a new subscription',
    {
      "begins with the oldest message that is kept (from: 'earliest')": async (bench) => {
        const before = await bench.bus();
        await before.start();
        await before.publish('before');
        const bus = await bench.bus();
        bus.on('second', () => undefined, { from: 'earliest' });
        await bus.start();
        await bus.publish('after');
        await eventually(
          () => bus.seen,
          ({ length }) => length === 2,
        );
        assert.deepEqual([...bus.seen].sort(), ['second after 1', 'second before 1']);
      },
    },
    ({ fromEarliest }) => fromEarliest,
  ),
  ...factsOf('a paused subscription', {
    'gets nothing until it is resumed, neither new messages nor those to be tried again, and loses nothing': async (bench) => {
      const bus = await bench.bus();
      let isRepaired = false;
      bus.on(
        'reader',
        async ({ text }) => {
          if (text === 'failing' && !isRepaired) throw new Error('not yet');
          await bus.process.write(text);
        },
        { retry: { attempts: 50, backoff: { delay: 100, jitter: 'none', factor: 1 } } },
      );
      bus.writer('other');
      await bus.start();
      await bus.publish('failing');
      await eventually(
        () => bus.seen,
        (seen) => seen.some((each) => each.startsWith('reader failing')),
      );
      await bus.holdfast.subscriptions.pause('contract.reader', BY);
      await quiet(200);
      const calls = bus.seen.filter((each) => each.startsWith('reader')).length;
      await bus.publish('a');
      await eventually(
        () => bench.system.written(),
        (written) => written.includes('other a'),
      );
      await quiet(500);
      assert.equal(bus.seen.filter((each) => each.startsWith('reader')).length, calls);
      isRepaired = true;
      await bus.holdfast.subscriptions.resume('contract.reader', BY);
      assert.deepEqual(await bench.written(4), ['a', 'failing', 'other a', 'other failing']);
    },
  }),
  ...factsOf(
    'a paused subscription',
    {
      'is still paused after a restart, and goes on from where it stood': async (bench) => {
        const first = await bench.bus();
        await first.writer('reader').start();
        await first.holdfast.subscriptions.pause('contract.reader', BY);
        await first.publish('a');
        await first.holdfast.stop();
        const second = await bench.bus();
        await second.writer('reader').start();
        await second.publish('b');
        await quiet(400);
        assert.deepEqual(second.seen, []);
        assert.deepEqual(
          (await second.holdfast.subscriptions.list()).map(({ state }) => state),
          ['paused'],
        );
        await second.holdfast.subscriptions.resume('contract.reader', BY);
        assert.deepEqual(await bench.written(2), ['reader a', 'reader b']);
      },
    },
    ({ persistent }) => persistent,
  ),
  ...factsOf('a subscription', {
    'never has more in work than its concurrency': async (bench) => {
      const bus = await bench.bus();
      const inWork = { narrow: 0, wide: 0 };
      const most = { narrow: 0, wide: 0 };
      const work = (name: keyof typeof inWork) => async () => {
        inWork[name] += 1;
        most[name] = Math.max(most[name], inWork[name]);
        await quiet(20);
        inWork[name] -= 1;
      };
      bus.on('narrow', work('narrow'), { concurrency: 1 }).on('wide', work('wide'), { concurrency: 4 });
      await bus.start();
      await Promise.all(Array.from({ length: 30 }, (_, i) => bus.publish(`${i}`, { key: `${i}` })));
      await eventually(
        () => bus.seen,
        ({ length }) => length === 60,
      );
      assert.equal(most.narrow, 1);
      assertBetween(most.wide, { least: 2, most: 4 });
    },
  }),
  ...factsOf(
    'a subscription',
    {
      'is shared by processes: each message has one effect, and all of them work': async (bench) => {
        const buses = [await bench.bus(), await bench.bus()];
        for (const bus of buses)
          await bus
            .on(
              'reader',
              async ({ text }) => {
                await quiet(10);
                await bus.process.write(text);
              },
              onceWith(bench.capabilities),
            )
            .start();
        const texts = Array.from({ length: 60 }, (_, i) => `${i}`);
        await Promise.all(texts.map((text, i) => buses[i % 2]!.publish(text)));
        assert.deepEqual(await bench.written(60), [...texts].sort());
        await quiet();
        assert.equal((await bench.written(60)).length, 60);
        // One that stood still all the while has its share of what comes next.
        let count = texts.length;
        const doAllWork = async () => {
          if (buses.every(({ seen }) => seen.length > 0)) return true;
          await buses[count % 2]!.publish(`${count}`);
          count += 1;
          return false;
        };
        await eventually(doAllWork, (is) => is);
        assert.equal((await bench.written(count)).length, count);
      },
    },
    ({ sharedSubscriptions }) => sharedSubscriptions,
  ),
  ...factsOf(
    'a subscription',
    {
      'gets what was published while nobody was there': async (bench) => {
        const first = await bench.bus();
        await first.writer('reader').start();
        await first.holdfast.stop();
        const publisher = await bench.bus({ service: 'publisher' });
        await publisher.start();
        await publisher.publish('a');
        const second = await bench.bus();
        await second.writer('reader').start();
        assert.deepEqual(await bench.written(1), ['reader a']);
      },
    },
    ({ persistent }) => persistent,
  ),
  ...factsOf('the health of a bus', {
    'is down before the start, up after it, and down from the beginning of a stop': async (bench) => {
      const bus = await bench.bus();
      bus.writer('reader');
      const status = async () => (await bus.holdfast.health()).status;
      assert.equal(await status(), 'down');
      await bus.start();
      assert.equal(await status(), 'up');
      const stopped = bus.holdfast.stop();
      assert.equal(await status(), 'down');
      await stopped;
      assert.equal(await status(), 'down');
    },
    'tells what an operator has paused': async (bench) => {
      const bus = await bench.bus();
      await bus.writer('reader').start();
      await bus.holdfast.subscriptions.pause('contract.reader', BY);
      assert.deepEqual((await bus.holdfast.health()).paused, [{ subscription: 'contract.reader', reason: 'operator' }]);
    },
  }),
  ...factsOf('stopping', {
    'takes nothing new, finishes what is in hand, and can be called twice': async (bench) => {
      const bus = await bench.bus();
      const entered = gate();
      bus.on(
        'reader',
        async ({ text }) => {
          entered.open();
          await quiet(100);
          await bus.process.write(text);
        },
        { concurrency: 2 },
      );
      await bus.start();
      for (let i = 0; i < 20; i += 1) await bus.publish(`${i}`);
      await entered.opened;
      const stops = [bus.holdfast.stop({ timeout: '30s' }), bus.holdfast.stop()];
      await Promise.all(stops);
      const calls = bus.seen.length;
      const written = await bench.system.written();
      assert.equal(written.length, calls);
      await quiet();
      assert.equal(bus.seen.length, calls);
      if (!bench.capabilities.persistent) return;
      const next = await bench.bus();
      await next.on('reader', ({ text }) => next.process.write(text)).start();
      const all = await bench.written(20);
      assert.deepEqual(all, Array.from({ length: 20 }, (_, i) => `${i}`).sort());
    },
    'returns what does not end in time, undone': async (bench) => {
      const bus = await bench.bus();
      const entered = gate();
      const forever = gate();
      bus.on('reader', async ({ text }) => {
        await bus.process.write(text);
        entered.open();
        await forever.opened;
      });
      await bus.start();
      await bus.publish('a');
      await entered.opened;
      const begin = performance.now();
      await bus.holdfast.stop({ timeout: 300 });
      assertBetween(performance.now() - begin, { most: 20_000 });
      assert.deepEqual(await bench.system.written(), []);
      forever.open();
      if (!bench.capabilities.persistent) return;
      const next = await bench.bus();
      await next.writer('reader').start();
      assert.deepEqual(await bench.written(1), ['reader a']);
    },
  }),
  ...factsOf('at the start', {
    'a name that two handlers have is refused': async (bench) => {
      assertIncludes(await problemsOf(bench, {}, { name: 'contract.same' }, { name: 'contract.same' }), 'contract.same');
    },
    'everything that is wrong is told together': async (bench) => {
      const text = await problemsOf(
        bench,
        {},
        { name: 'contract.a', batchSize: 5 },
        { name: 'contract.b', ordering: 'key' },
        { name: 'contract.c', concurrency: 0 },
      );
      for (const name of ['contract.a', 'contract.b', 'contract.c']) assertIncludes(text, name);
    },
    "ordering: 'key' is possible where a key goes to one consumer at a time, else refused": async (bench) => {
      const text = await problemsOf(bench, {}, { name: 'contract.a', ordering: 'key', idempotent: true, transactional: true });
      if (bench.capabilities.partitionedDelivery) assert.equal(text, 'started');
      else assertIncludes(text, "ordering: 'key'");
    },
    "from: 'earliest' is possible where messages are kept, else refused": async (bench) => {
      const text = await problemsOf(bench, {}, { name: 'contract.a', from: 'earliest' });
      if (bench.capabilities.fromEarliest) assert.equal(text, 'started');
      else assertIncludes(text, "from: 'earliest'");
    },
    'a new name is possible where what waits comes along with it, else refused': async (bench) => {
      const text = await problemsOf(bench, {}, { name: 'contract.a', formerly: 'contract.before' });
      if (bench.capabilities.renamedSubscriptions) assert.equal(text, 'started');
      else assertIncludes(text, 'formerly');
    },
    'a bus without a store is possible where the transport needs none, else refused': async (bench) => {
      const text = await problemsOf(bench, { store: undefined }, { name: 'contract.a' });
      if (bench.capabilities.withoutStore) assert.equal(text, 'started');
      else assertIncludes(text, 'store');
    },
    'production asks for a transport that survives, or for consent': (bench) =>
      inProduction(async () => {
        const text = await problemsOf(bench, { allowInMemory: undefined }, { name: 'contract.a' });
        if (bench.capabilities.persistent) assert.equal(text, 'started');
        else assertIncludes(text, 'allowInMemory');
      }),
  }),
];

/** Where several processes relay one outbox, a message may be published by each of them: the inbox drops the repeats. */
function onceWith({ readsLog }: TransportCapabilities): { readonly idempotent?: true } {
  return readsLog ? {} : { idempotent: true };
}

/** What the start of such a bus is refused with, or `started`. */
async function problemsOf({ system }: Bench, options: Partial<HoldfastOptions>, ...policies: readonly object[]): Promise<string> {
  const process = await system.join();
  const holdfast = new Holdfast(
    { service: 'contract', transport: process.transport(), store: process.store(), ...anywhere(options), ...options } as HoldfastOptions,
    { logger: silentLogger },
  );
  for (const policy of policies) holdfast.on(Happened, () => undefined, { retry: SOON, ...policy } as HandlerPolicies<Happened>);
  const error = await holdfast.start().then(
    () => undefined,
    (thrown: { code?: string; message?: string }) => thrown,
  );
  await holdfast.stop();
  await process.close();
  if (error === undefined) return 'started';
  assertIncludes(['HF_CONFIG_INVALID', 'HF_CAPABILITY_UNSUPPORTED'], error.code);
  return String(error.message);
}
