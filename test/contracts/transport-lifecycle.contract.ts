import { type HandlerPolicies, Holdfast, type HoldfastOptions, silentLogger } from '@holdfast/core';
import { BY, benchOf, eventually, gate, Happened, quiet, SOON, type TransportFixture } from './transport-kit.js';

/** Start, stop, pause; what is refused. */
export function transportLifecycleContract(fixture: TransportFixture): void {
  const bench = benchOf(fixture);
  const { capabilities } = fixture;

  describe('a delayed message', () => {
    it('comes not before its time, and then', async () => {
      const bus = await bench().bus();
      const at = new Map<string, number>();
      bus.on('reader', ({ text }) => at.set(text, Date.now()));
      await bus.start();
      const begin = Date.now();
      await bus.publish('delayed', { delay: 400 });
      await bus.publish('at', { at: new Date(begin + 600) });
      await bus.publish('now');
      await eventually(
        () => at.size,
        (size) => size === 3,
      );
      // The database and this process read one clock here, to the millisecond.
      expect(at.get('delayed')! - begin).toBeGreaterThanOrEqual(399);
      expect(at.get('at')! - begin).toBeGreaterThanOrEqual(599);
      expect(at.get('now')).toBeLessThan(at.get('delayed')!);
    });
  });

  describe('a new subscription', () => {
    it("begins with what commits from now on (from: 'now')", async () => {
      const before = await bench().bus();
      before.on('first', () => undefined);
      await before.start();
      await before.publish('before');
      await eventually(
        () => before.seen,
        ({ length }) => length === 1,
      );
      const bus = capabilities.sharedSubscriptions ? await bench().bus() : before;
      if (bus !== before) {
        bus.on('first', () => undefined).on('second', () => undefined);
        await bus.start();
        await bus.publish('after');
        await eventually(
          () => bus.seen,
          (seen) => seen.some((each) => each.startsWith('second')),
        );
        await quiet();
        expect(bus.seen.filter((each) => each.startsWith('second'))).toEqual(['second after 1']);
      }
    });

    if (capabilities.fromEarliest) {
      it("begins with the oldest message that is kept (from: 'earliest')", async () => {
        const before = await bench().bus();
        await before.start();
        await before.publish('before');
        const bus = await bench().bus();
        bus.on('second', () => undefined, { from: 'earliest' });
        await bus.start();
        await bus.publish('after');
        await eventually(
          () => bus.seen,
          ({ length }) => length === 2,
        );
        expect([...bus.seen].sort()).toEqual(['second after 1', 'second before 1']);
      });
    }
  });

  describe('a paused subscription', () => {
    it('gets nothing until it is resumed, neither new messages nor those to be tried again, and loses nothing', async () => {
      const bus = await bench().bus();
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
        () => bench().system.written(),
        (written) => written.includes('other a'),
      );
      await quiet(500);
      expect(bus.seen.filter((each) => each.startsWith('reader'))).toHaveLength(calls);
      isRepaired = true;
      await bus.holdfast.subscriptions.resume('contract.reader', BY);
      expect(await bench().written(4)).toEqual(['a', 'failing', 'other a', 'other failing']);
    });

    if (capabilities.persistent) {
      it('is still paused after a restart, and goes on from where it stood', async () => {
        const first = await bench().bus();
        await first.writer('reader').start();
        await first.holdfast.subscriptions.pause('contract.reader', BY);
        await first.publish('a');
        await first.holdfast.stop();
        const second = await bench().bus();
        await second.writer('reader').start();
        await second.publish('b');
        await quiet(400);
        expect(second.seen).toEqual([]);
        expect((await second.holdfast.subscriptions.list()).map(({ state }) => state)).toEqual(['paused']);
        await second.holdfast.subscriptions.resume('contract.reader', BY);
        expect(await bench().written(2)).toEqual(['reader a', 'reader b']);
      });
    }
  });

  describe('a subscription', () => {
    it('never has more in work than its concurrency', async () => {
      const bus = await bench().bus();
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
      expect(most.narrow).toBe(1);
      expect(most.wide).toBeGreaterThan(1);
      expect(most.wide).toBeLessThanOrEqual(4);
    });

    if (capabilities.sharedSubscriptions) {
      it('is shared by processes: each message has one effect, and all of them work', async () => {
        const buses = [await bench().bus(), await bench().bus()];
        for (const bus of buses)
          await bus
            .on('reader', async ({ text }) => {
              await quiet(10);
              await bus.process.write(text);
            })
            .start();
        const texts = Array.from({ length: 60 }, (_, i) => `${i}`);
        await Promise.all(texts.map((text, i) => buses[i % 2]!.publish(text)));
        expect(await bench().written(60)).toEqual([...texts].sort());
        await quiet();
        expect(await bench().written(60)).toHaveLength(60);
        for (const bus of buses) expect(bus.seen.length).toBeGreaterThan(0);
      });
    }

    if (capabilities.persistent) {
      it('gets what was published while nobody was there', async () => {
        const first = await bench().bus();
        await first.writer('reader').start();
        await first.holdfast.stop();
        const publisher = await bench().bus({ service: 'publisher' });
        await publisher.start();
        await publisher.publish('a');
        const second = await bench().bus();
        await second.writer('reader').start();
        expect(await bench().written(1)).toEqual(['reader a']);
      });
    }
  });

  describe('stopping', () => {
    it('takes nothing new, finishes what is in hand, and can be called twice', async () => {
      const bus = await bench().bus();
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
      const stops = [bus.holdfast.stop({ timeout: '5s' }), bus.holdfast.stop()];
      await Promise.all(stops);
      const calls = bus.seen.length;
      const written = await bench().system.written();
      expect(written).toHaveLength(calls);
      await quiet();
      expect(bus.seen).toHaveLength(calls);
      if (!capabilities.persistent) return;
      const next = await bench().bus();
      await next.on('reader', ({ text }) => next.process.write(text)).start();
      const all = await bench().written(20);
      expect(all).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`).sort());
    });

    it('returns what does not end in time, undone', async () => {
      const bus = await bench().bus();
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
      expect(performance.now() - begin).toBeLessThan(5000);
      expect(await bench().system.written()).toEqual([]);
      forever.open();
      if (!capabilities.persistent) return;
      const next = await bench().bus();
      await next.writer('reader').start();
      expect(await bench().written(1)).toEqual(['reader a']);
    });
  });

  describe('at the start', () => {
    const problemsOf = async (options: Partial<HoldfastOptions>, ...policies: readonly object[]): Promise<string> => {
      const process = await bench().system.join();
      const holdfast = new Holdfast(
        { service: 'contract', transport: process.transport(), store: process.store(), allowInMemory: true, ...options } as HoldfastOptions,
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
      expect(['HF_CONFIG_INVALID', 'HF_CAPABILITY_UNSUPPORTED']).toContain(error.code);
      return String(error.message);
    };

    it('a name that two handlers have is refused', async () => {
      expect(await problemsOf({}, { name: 'contract.same' }, { name: 'contract.same' })).toContain('contract.same');
    });

    it('everything that is wrong is told together', async () => {
      const text = await problemsOf(
        {},
        { name: 'contract.a', batchSize: 5 },
        { name: 'contract.b', ordering: 'key' },
        { name: 'contract.c', concurrency: 0 },
      );
      for (const name of ['contract.a', 'contract.b', 'contract.c']) expect(text).toContain(name);
    });

    it("ordering: 'key' is possible where a key goes to one consumer at a time, else refused", async () => {
      const text = await problemsOf({}, { name: 'contract.a', ordering: 'key', idempotent: true, transactional: true });
      if (capabilities.partitionedDelivery) expect(text).toBe('started');
      else expect(text).toContain("ordering: 'key'");
    });

    it("from: 'earliest' is possible where messages are kept, else refused", async () => {
      const text = await problemsOf({}, { name: 'contract.a', from: 'earliest' });
      if (capabilities.fromEarliest) expect(text).toBe('started');
      else expect(text).toContain("from: 'earliest'");
    });

    it('a bus without a store is possible where the transport needs none, else refused', async () => {
      const text = await problemsOf({ store: undefined }, { name: 'contract.a' });
      if (capabilities.withoutStore) expect(text).toBe('started');
      else expect(text).toContain('store');
    });

    it('production asks for a transport that survives, or for consent', async () => {
      const before = process.env.NODE_ENV;
      process.env.NODE_ENV = 'production';
      try {
        const text = await problemsOf({ allowInMemory: undefined, migrate: true }, { name: 'contract.a' });
        if (capabilities.persistent) expect(text).toBe('started');
        else expect(text).toContain('allowInMemory');
      } finally {
        process.env.NODE_ENV = before;
      }
    });
  });

  if (capabilities.withoutStore) {
    describe('without a store', () => {
      it('a message is handled, tried again in the process, and given up in the end', async () => {
        const bus = await bench().bus({ store: undefined });
        bus.on('good', () => undefined, { transactional: false });
        bus.on('bad', () => Promise.reject(new Error('always')), { transactional: false });
        await bus.start();
        await bus.publish('a');
        await eventually(
          () => bus.seen,
          ({ length }) => length === 4,
        );
        await quiet();
        expect([...bus.seen].sort()).toEqual(['bad a 1', 'bad a 2', 'bad a 3', 'good a 1']);
      });

      it('what needs one is refused where it is used', async () => {
        const bus = await bench().bus({ store: undefined });
        await bus.on('reader', () => undefined, { transactional: false }).start();
        await expect(bus.publish('a', { delay: 100 })).rejects.toMatchObject({ code: 'HF_CAPABILITY_UNSUPPORTED' });
        expect(() => bus.holdfast.deadLetters.list()).toThrow(expect.objectContaining({ code: 'HF_CAPABILITY_UNSUPPORTED' }));
        const policies = [
          { name: 'contract.a', transactional: true },
          { name: 'contract.b', idempotent: true },
        ];
        const other = await bench().bus({ store: undefined });
        for (const policy of policies) other.holdfast.on(Happened, () => undefined, policy as HandlerPolicies<Happened>);
        await expect(other.start()).rejects.toMatchObject({ code: 'HF_CONFIG_INVALID' });
      });
    });
  }
}
