import { strict as assert } from 'node:assert';
import { eventually } from './assertions.js';
import { factsOf, type TransportFact } from './transport-fact.js';
import { BY, type Bus, quiet } from './transport-kit.js';

/** Receipts of a message as `subscription status`, sorted. */
async function receiptsOf(bus: Bus, id: string): Promise<string[]> {
  const receipts = await bus.holdfast.outbox.receipts(id);
  return receipts.map(({ subscription, status }) => `${subscription} ${status}`).sort();
}

/** The same, as soon as there are so many. */
function receipts(bus: Bus, id: string, count: number): Promise<string[]> {
  return eventually(
    () => receiptsOf(bus, id),
    ({ length }) => length >= count,
  );
}

/** A process takes the receipts of other services, where those come over a broker. */
const TAKING = { receipts: true } as const;

/** What a publisher learns of who has dealt with its message. */
export const RECEIPT_FACTS: readonly TransportFact[] = [
  ...factsOf('a message with receipt: true', {
    'is consumed when every known subscription has handled it, each of which gives a receipt': async (bench) => {
      const bus = await bench.bus(TAKING);
      let isRepaired = false;
      bus.writer('one').on('outside', () => undefined, { transactional: false });
      bus.on('failing', () => (isRepaired ? undefined : Promise.reject(new Error('not yet'))), {
        retry: { attempts: 100, backoff: { delay: 50, factor: 1, jitter: 'none' } },
      });
      await bus.start();
      const { id } = await bus.publish('a', { receipt: true });
      const { outbox } = bus.holdfast;
      assert.deepEqual(await receipts(bus, id, 2), ['contract.one consumed', 'contract.outside consumed']);
      assert.equal(await outbox.isConsumed(id), false);
      isRepaired = true;
      await receipts(bus, id, 3);
      assert.equal(await outbox.isConsumed(id), true);
      for (const receipt of await outbox.receipts(id)) {
        assert.equal(receipt.service, 'contract');
        assert.ok(Math.abs(receipt.at.getTime() - Date.now()) < 60_000);
      }
    },
    'has the receipt of a handler with its commit, and none of an attempt that was undone': async (bench) => {
      const bus = await bench.bus(TAKING);
      const before: string[][] = [];
      bus.on('reader', async ({ text }, delivery) => {
        before.push(await receiptsOf(bus, delivery.id));
        await bus.process.write(text);
        if (delivery.attempt === 1) throw new Error('not yet');
        if (delivery.attempt === 2) await bus.process.spoil();
      });
      await bus.start();
      const { id } = await bus.publish('a', { receipt: true });
      assert.deepEqual(await receipts(bus, id, 1), ['contract.reader consumed']);
      assert.deepEqual(before.slice(0, 3), [[], [], []]);
      assert.deepEqual(await bench.system.written(), ['a']);
    },
    'is dead-lettered where it is a dead letter, and consumed when that is redriven': async (bench) => {
      const bus = await bench.bus(TAKING);
      let isRepaired = false;
      const work = () => (isRepaired ? undefined : Promise.reject(new Error('broken')));
      bus.on('inside', work).on('outside', work, { transactional: false });
      await bus.start();
      const { id } = await bus.publish('a', { receipt: true });
      assert.deepEqual(await receipts(bus, id, 2), ['contract.inside dead-lettered', 'contract.outside dead-lettered']);
      assert.equal(await bus.holdfast.outbox.isConsumed(id), false);
      isRepaired = true;
      await bus.holdfast.deadLetters.redrive({ type: 'contract.happened' }, BY);
      await eventually(
        () => bus.holdfast.outbox.isConsumed(id),
        (is) => is,
      );
      assert.deepEqual(await receiptsOf(bus, id), ['contract.inside consumed', 'contract.outside consumed']);
    },
    'has one receipt of a batch that holds it twice, and of a repeat': async (bench) => {
      const bus = await bench.bus(TAKING);
      await bus.writer('once', { batchSize: 10 }).start();
      await bus.holdfast.unitOfWork.run(async () => {
        for (const text of ['a', 'a']) await bus.publish(text, { id: 'same', receipt: true });
      });
      assert.deepEqual(await receipts(bus, 'same', 1), ['contract.once consumed']);
      await bus.publish('a', { id: 'same', receipt: true });
      await quiet();
      assert.deepEqual(await receiptsOf(bus, 'same'), ['contract.once consumed']);
    },
    'that is rolled back has none': async (bench) => {
      const bus = await bench.bus(TAKING);
      await bus.writer('reader').start();
      const unit = bus.holdfast.unitOfWork.run(async () => {
        await bus.publish('never', { id: 'gone', receipt: true });
        throw new Error('the business changed its mind');
      });
      await assert.rejects(unit, /changed its mind/);
      await quiet();
      assert.deepEqual(await receiptsOf(bus, 'gone'), []);
      assert.equal(await bus.holdfast.outbox.isConsumed('gone'), false);
    },
  }),
  ...factsOf('a message without receipt: true', {
    'has none': async (bench) => {
      const bus = await bench.bus(TAKING);
      await bus.writer('reader').start();
      const { id } = await bus.publish('a');
      await bench.written(1);
      await quiet();
      assert.deepEqual(await receiptsOf(bus, id), []);
    },
  }),
  ...factsOf(
    'a message with receipt: true for several services',
    {
      'has the receipts of all of them': async (bench) => {
        const publisher = await bench.bus({ ...TAKING, service: 'publisher' });
        await publisher.start();
        const services = ['billing', 'stock'];
        for (const service of services) {
          const bus = await bench.bus({ service });
          await bus.writer(service).start();
        }
        const { id } = await publisher.publish('a', { receipt: true });
        assert.deepEqual(await receipts(publisher, id, 2), ['contract.billing consumed', 'contract.stock consumed']);
        const given = await publisher.holdfast.outbox.receipts(id);
        assert.deepEqual(given.map(({ service }) => service).sort(), services);
      },
    },
    ({ sharedSubscriptions }) => sharedSubscriptions,
  ),
  ...factsOf(
    'receipt: true',
    {
      'is refused by a service that would not get the receipts of others': async (bench) => {
        const bus = await bench.bus();
        await bus.writer('reader').start();
        await assert.rejects(bus.publish('a', { receipt: true }), { code: 'HF_CAPABILITY_UNSUPPORTED' });
      },
    },
    ({ readsLog, sharedSubscriptions }) => sharedSubscriptions && !readsLog,
  ),
];
