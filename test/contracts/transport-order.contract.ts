import { BY, type Bus, benchOf, eventually, gate, quiet, SOON, type TransportFixture } from './transport-kit.js';

/** The order of a key, through failures, retries and dead letters. */
export function transportOrderContract(fixture: TransportFixture): void {
  const bench = benchOf(fixture);
  const KEYED = { ordering: 'key', idempotent: true } as const;

  const all = async (bus: Bus, key: string, texts: readonly string[]) => {
    for (const text of texts) await bus.publish(text, { key });
  };

  describe("with ordering: 'key', messages", () => {
    it('of a key are handled in their order, one at a time, and of different keys side by side', async () => {
      const bus = await bench().bus();
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
        () => bench().system.written(),
        ({ length }) => length === 48,
      );
      for (const key of keys)
        expect(written.filter((text) => text.startsWith(`${key} `))).toEqual(['1', '2', '3', '4'].map((n) => `${key} ${n}`));
      expect(mostOfKey).toBe(1);
      expect(most).toBeGreaterThan(1);
    });

    it('wait behind one of their key that is tried again, and others do not', async () => {
      const bus = await bench().bus();
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
        () => bench().system.written(),
        ({ length }) => length === 5,
      );
      expect(written.filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
      expect(written.filter((text) => text.startsWith('b'))).toEqual(['b1', 'b2']);
      expect(bus.attempts('reader a')).toEqual(['reader a1 1', 'reader a1 2', 'reader a1 3', 'reader a2 1', 'reader a3 1']);
    });

    it("are blocked by a dead letter of their key until it is redriven (onDeadLetter: 'block')", async () => {
      const bus = await bench().bus();
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
      expect(await bench().written(1)).toEqual(['b1']);
      await quiet();
      expect(await bench().system.written()).toEqual(['b1']);
      isRepaired = true;
      await bus.holdfast.deadLetters.redrive(items[0]!.id, BY);
      await eventually(
        () => bench().system.written(),
        ({ length }) => length === 4,
      );
      expect(await bench().system.written()).toEqual(['b1', 'a1', 'a2', 'a3']);
    });

    it('go on when the dead letter that blocked them is discarded', async () => {
      const bus = await bench().bus();
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
        () => bench().system.written(),
        ({ length }) => length === 2,
      );
      expect(await bench().system.written()).toEqual(['a2', 'a3']);
    });

    it("go on past a dead letter of their key where that is wanted (onDeadLetter: 'skip')", async () => {
      const bus = await bench().bus();
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
        () => bench().system.written(),
        ({ length }) => length === 2,
      );
      expect(await bench().system.written()).toEqual(['a2', 'a3']);
      expect(bus.attempts('reader a1')).toEqual(['reader a1 1', 'reader a1 2', 'reader a1 3']);
    });

    it('of a batch that fails are in order all the same, and those of other keys are done', async () => {
      const bus = await bench().bus();
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
        () => bench().system.written(),
        ({ length }) => length === 6,
      );
      expect(written.filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2', 'a3', 'a4']);
      expect(written.filter((text) => text.startsWith('b'))).toEqual(['b1', 'b2']);
    });

    it('that come without a key are parked, because nothing says where they belong', async () => {
      const bus = await bench().bus();
      bus.writer('reader', KEYED);
      await bus.start();
      await bus.publish('lost');
      await bus.publish('a', { key: 'a' });
      const { items } = await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 1,
      );
      expect(items[0]?.error.code).toBe('HF_ORDERING_KEY_MISSING');
      expect(await bench().written(1)).toEqual(['reader a']);
    });

    it('handled outside any transaction keep their order as well', async () => {
      const bus = await bench().bus();
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
      expect(bus.attempts('caller a')).toEqual(['caller a1 1', 'caller a1 2', 'caller a2 1', 'caller a2 2', 'caller a3 1', 'caller a3 2']);
    });
  });

  if (fixture.capabilities.sharedSubscriptions) {
    describe("with ordering: 'key' over several processes, messages", () => {
      it('of a key are handled in their order, by one process at a time', async () => {
        const buses = [await bench().bus(), await bench().bus(), await bench().bus()];
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
          () => bench().system.written(),
          ({ length }) => length >= 40,
          30_000,
        );
        for (const key of keys)
          expect(written.filter((text) => text.startsWith(`${key} `))).toEqual(['1', '2', '3', '4', '5'].map((n) => `${key} ${n}`));
        expect(overlaps).toEqual([]);
      });
    });
  }

  describe('without ordering, messages', () => {
    it('of a key do not wait for one that is tried again', async () => {
      const bus = await bench().bus();
      const repaired = gate();
      bus.on('reader', async ({ text }, delivery) => {
        if (text === 'a1' && delivery.attempt === 1) throw new Error('not yet');
        if (text === 'a1') await repaired.opened;
        await bus.process.write(text);
      });
      await bus.start();
      await all(bus, 'a', ['a1', 'a2', 'a3']);
      await eventually(
        () => bench().system.written(),
        ({ length }) => length === 2,
      );
      repaired.open();
      expect(await bench().written(3)).toEqual(['a1', 'a2', 'a3']);
    });
  });
}
