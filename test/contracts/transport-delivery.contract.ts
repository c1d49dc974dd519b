import { NonRetryableError } from '@holdfast/core';
import { BY, benchOf, eventually, Happened, Other, quiet, SOON, Strict, type TransportFixture } from './transport-kit.js';

/** Who gets a message, how often, and what becomes of one that cannot be handled. */
export function transportDeliveryContract(fixture: TransportFixture): void {
  const bench = benchOf(fixture);

  describe('a message', () => {
    it('reaches every subscription of its type, and no other', async () => {
      const bus = await bench().bus();
      bus.writer('one').writer('two');
      bus.holdfast.on(Other, () => bus.process.write('other'), { name: 'contract.other', transactional: true });
      await bus.start();
      await bus.publish('a');
      expect(await bench().written(2)).toEqual(['one a', 'two a']);
      await quiet();
      expect(await bench().written(2)).toEqual(['one a', 'two a']);
    });

    it('arrives as it was published: data, id, key, headers, time, conversation', async () => {
      const bus = await bench().bus();
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
      expect(ref).toEqual({ id: 'order/1', source: 'contract' });
      const [first, answer] = await eventually(
        () => bus.deliveries,
        ({ length }) => length === 2,
      );
      expect(first).toMatchObject({
        id: 'order/1',
        source: 'contract',
        type: 'contract.happened',
        version: 1,
        key: 'ключ "1"\n🔑',
        correlationId: 'talk 7',
        attempt: 1,
        subscription: 'contract.reader',
      });
      expect({ ...first?.headers }).toEqual({ 'x-note': 'grüße, мир ✓', empty: '' });
      expect(Math.abs(first!.time.getTime() - before)).toBeLessThan(60_000);
      expect(answer).toMatchObject({ causationId: 'order/1', correlationId: 'talk 7', key: undefined });
    });

    it('that was rolled back is never seen, and neither is one of a handler that failed', async () => {
      const bus = await bench().bus();
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
      await expect(unit).rejects.toThrow('changed its mind');
      await bus.holdfast.bus.publish(new Other(''));
      expect(await bench().written(1)).toEqual(['reader of attempt 2']);
      await quiet();
      expect(await bench().system.written()).toEqual(['reader of attempt 2']);
    });

    it('is handled by the others, once, while one handler fails', async () => {
      const bus = await bench().bus();
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
      expect(bus.seen.filter((each) => each.startsWith('good'))).toEqual(['good a 1']);
      expect(bus.attempts('bad')).toEqual(['bad a 1', 'bad a 2', 'bad a 3']);
      expect(await bench().system.written()).toEqual(['good a']);
    });

    it('has one effect in an idempotent subscription, though it is published many times', async () => {
      const bus = await bench().bus();
      bus.writer('once').on('always', () => undefined);
      await bus.start();
      await Promise.all(Array.from({ length: 50 }, () => bus.publish('a', { id: 'same' })));
      await eventually(
        () => bus.seen.filter((each) => each.startsWith('always')),
        ({ length }) => length === 50,
      );
      await bus.holdfast.settled(10_000);
      expect(await bench().written(1)).toEqual(['once a']);
      expect(bus.seen.filter((each) => each.startsWith('once'))).toEqual(['once a 1']);
      await bus.publish('a', { id: 'same', key: 'elsewhere' });
      await quiet();
      expect(await bench().system.written()).toEqual(['once a']);
      expect((await bus.holdfast.deadLetters.list()).items).toEqual([]);
    });

    it('has one effect per key of the business where one is given', async () => {
      const bus = await bench().bus();
      bus.writer('once', { idempotent: { key: ({ text }) => text.split(' ')[0] as string } });
      await bus.start();
      for (const text of ['order-1 a', 'order-1 b', 'order-2 c']) await bus.publish(text);
      await eventually(
        () => bench().system.written(),
        ({ length }) => length >= 2,
      );
      await bus.holdfast.settled(10_000);
      expect((await bench().system.written()).map((text) => text.split(' ')[1]).sort()).toEqual(['order-1', 'order-2']);
    });
  });

  describe('a handler that fails', () => {
    it('is called again after its wait, with the count of the attempt, and its effect is there once', async () => {
      const bus = await bench().bus();
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
      expect(await bench().written(1)).toEqual(['a by attempt 3']);
      expect(bus.attempts('reader')).toEqual(['reader a 1', 'reader a 2', 'reader a 3']);
      expect(bus.deliveries[0]?.isRedelivery).toBe(false);
      expect(bus.deliveries.at(-1)?.isRedelivery).toBe(true);
      const [first, second, third] = [1, 2, 3].map((attempt) => at[bus.deliveries.findIndex((delivery) => delivery.attempt === attempt)]!);
      expect(second! - first!).toBeGreaterThanOrEqual(149);
      expect(third! - second!).toBeGreaterThanOrEqual(299);
    });

    it('ends as a dead letter when its attempts are used up, and is handled when a person redrives it', async () => {
      const bus = await bench().bus();
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
      expect(items[0]).toMatchObject({
        subscription: 'contract.reader',
        message: { id: 'm', source: 'contract', type: 'contract.happened', key: 'k' },
        attempts: 3,
        error: { message: 'broken', stack: expect.stringContaining('broken') },
      });
      isRepaired = true;
      expect(await bus.holdfast.deadLetters.redrive(items[0]!.id, BY)).toEqual({ count: 1 });
      expect(await bench().written(1)).toEqual(['a']);
      expect(bus.attempts('reader')).toEqual(['reader a 1', 'reader a 2', 'reader a 3']);
      expect(bus.seen.at(-1)).toBe('reader a 1');
      await bus.holdfast.settled(10_000);
      expect((await bus.holdfast.deadLetters.list()).items).toEqual([]);
    });

    it('leaves a dead letter that can be discarded', async () => {
      const bus = await bench().bus();
      bus.on('reader', () => Promise.reject(new NonRetryableError('refused')));
      await bus.start();
      await bus.publish('a');
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        ({ items }) => items.length === 1,
      );
      expect(await bus.holdfast.deadLetters.discard({ subscription: 'contract.reader' }, BY)).toEqual({ count: 1 });
      await quiet();
      expect((await bus.holdfast.deadLetters.list()).items).toEqual([]);
      expect(bus.seen).toEqual(['reader a 1']);
    });

    it('is not tried again for what its author calls hopeless', async () => {
      const bus = await bench().bus();
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
      expect(bus.attempts('').sort()).toEqual(['asked a 1', 'asked a 2', 'hopeless a 1']);
    });

    it('is called again when the commit fails, and its effect is there once', async () => {
      const bus = await bench().bus();
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
      expect(await bench().written(1)).toEqual(['a']);
      await bus.holdfast.settled(10_000);
      expect(bus.attempts('reader')).toEqual(['reader a 1', 'reader a 2']);
      expect(await bench().system.written()).toEqual(['a']);
    });

    it('is given up at its time-out, told so, and undone', async () => {
      const bus = await bench().bus();
      const aborted: boolean[] = [];
      bus.on(
        'reader',
        async ({ text }, delivery) => {
          if (delivery.attempt === 2) return bus.process.write(text);
          const { signal } = delivery;
          await bus.process.write('half done');
          await new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
          aborted.push(signal.aborted);
          return undefined;
        },
        { timeout: 200 },
      );
      await bus.start();
      await bus.publish('a');
      expect(await bench().written(1)).toEqual(['a']);
      expect(aborted).toEqual([true]);
      expect(bus.attempts('reader')).toEqual(['reader a 1', 'reader a 2']);
    });
  });

  describe('a message that cannot be read', () => {
    it('is parked with its body and the reason, and the next one is handled', async () => {
      const bus = await bench().bus();
      bus.on('strict', ({ text }) => bus.process.write(text), { type: Strict as unknown as typeof Happened });
      await bus.start();
      for (const text of ['bad 1', 'good', 'bad 2']) await bus.publish(text, { key: 'k' });
      const { items } = await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 2,
      );
      expect(await bench().written(1)).toEqual(['good']);
      expect(
        items
          .map(({ error, body }) => ({ code: error.code, body: Buffer.from(body).toString() }))
          .sort((a, b) => (a.body < b.body ? -1 : 1)),
      ).toEqual([
        { code: 'HF_MESSAGE_INVALID', body: '{"text":"bad 1"}' },
        { code: 'HF_MESSAGE_INVALID', body: '{"text":"bad 2"}' },
      ]);
      expect(bus.seen).toEqual(['strict good 1']);
    });

    it('does not disturb the batch it came in', async () => {
      const bus = await bench().bus();
      bus.on('strict', ({ text }) => bus.process.write(text), { type: Strict as unknown as typeof Happened, batchSize: 10 });
      await bus.start();
      await bus.holdfast.unitOfWork.run({}, async () => {
        for (const text of ['good 1', 'bad', 'good 2']) await bus.publish(text);
      });
      expect(await bench().written(2)).toEqual(['good 1', 'good 2']);
      await eventually(
        () => bus.holdfast.deadLetters.list(),
        (page) => page.items.length === 1,
      );
      expect([...bus.seen].sort()).toEqual(['strict good 1 1', 'strict good 2 1']);
    });
  });

  describe('a batch', () => {
    it('is one commit, and when one message fails only that one pays', async () => {
      const bus = await bench().bus();
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
      expect(await bench().written(4)).toEqual(['a', 'b', 'c', 'd']);
      expect(Buffer.from(items[0]!.body).toString()).toBe('{"text":"bad"}');
      expect(bus.seen.filter((each) => each.includes('bad')).at(-1)).toBe('reader bad 3');
      expect(bus.seen.filter((each) => !each.includes('bad') && !each.endsWith(' 1'))).toEqual([]);
    });

    it('holds a message twice with one effect', async () => {
      const bus = await bench().bus();
      bus.writer('once', { batchSize: 10 });
      await bus.start();
      await bus.holdfast.unitOfWork.run({}, async () => {
        for (let i = 0; i < 5; i += 1) await bus.publish('a', { id: 'same' });
        await bus.publish('b');
      });
      expect(await bench().written(2)).toEqual(['once a', 'once b']);
      await bus.holdfast.settled(10_000);
      expect(await bench().written(2)).toEqual(['once a', 'once b']);
    });
  });

  describe('a handler outside any transaction', () => {
    it('is called once per message, and again when it failed', async () => {
      const bus = await bench().bus();
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
      expect(bus.attempts('caller').sort()).toEqual(['caller a 1', 'caller a 2', 'caller b 1', 'caller b 2']);
    });

    it('is called once for a message that is published many times at once, when it is idempotent', async () => {
      const bus = await bench().bus();
      bus.on('caller', () => quiet(50), { transactional: false, idempotent: true });
      await bus.start();
      await Promise.all(Array.from({ length: 10 }, () => bus.publish('a', { id: 'same' })));
      await eventually(
        () => bus.seen,
        ({ length }) => length >= 1,
      );
      await quiet(600);
      await bus.holdfast.settled(10_000);
      expect(bus.seen).toEqual(['caller a 1']);
      expect((await bus.holdfast.deadLetters.list()).items).toEqual([]);
    });

    it('is parked with what it cannot read, and goes on', async () => {
      const bus = await bench().bus();
      bus.on('strict', () => undefined, { type: Strict as unknown as typeof Happened, transactional: false });
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
      expect(bus.seen).toEqual(['strict good 1']);
    });
  });
}
