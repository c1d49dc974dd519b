import { strict as assert } from 'node:assert';
import type { DeliveryRecord } from '../../delivery/delivery.store.port.js';
import type { Incoming, Lease } from '../../delivery/intake.port.js';
import { assertFields, eventually, assertBetween } from './assertions.js';
import { eachOf, factsOf } from './store-fact.js';
import {
  begin,
  codeOf,
  declare,
  failureOf,
  idOf,
  inTransaction,
  messageOf,
  recordOf,
  register,
  type StoreFixture,
  start,
  takeIds,
} from './store-kit.js';

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const [id, otherId] = (await register(one, declare('contract.reader', { ordering: 'key' }), declare('contract.other'))) as [
    number,
    number,
  ];
  const skips = { subscriptionId: id, blocksKeys: false };
  const blocks = { subscriptionId: id, blocksKeys: true };
  const record = (name: string, also: Partial<DeliveryRecord> = {}): DeliveryRecord => recordOf(id, name, also);
  const store = (...records: readonly DeliveryRecord[]) => inTransaction(one, (tx) => one.store.deliveries.record(tx, records));
  const close = (...names: readonly string[]) =>
    inTransaction(one, (tx) =>
      one.store.deliveries.close(
        tx,
        skips,
        names.map((name) => ({ source: 'orders', id: name })),
      ),
    );
  const intake = () => one.store.deliveries.intake(id);
  const takeOne = async () => (await inTransaction(one, (tx) => intake().take(tx, 10))).messages[0] as Incoming;
  const isDue = async () => (await one.store.deliveries.due([id])).get(id);
  const lock = (keys: readonly string[], blocksKeys: boolean) =>
    inTransaction(one, async (tx) => [...(await one.store.deliveries.lockKeys(tx, { subscriptionId: id, keys, blocksKeys }))].sort());
  return {
    store,
    record,
    takeOne,
    one,
    intake,
    id,
    isDue,
    otherId,
    skips,
    blocks,
    lock,
    close,
    end: async () => {
      await one.close();
      await database.drop();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Stored deliveries, as every store must keep them. */
export const DELIVERY_FACTS = factsOf('stored deliveries', scene, {
  'give a message back as it was, with its attempts, until it is closed': async ({ store, record, takeOne, one, intake, close }) => {
    const writtenAt = new Date('2026-01-02T03:04:05.678Z');
    await store(record('1', { message: messageOf('1', { writtenAt, hasConsent: true, body: Uint8Array.from([0, 255, 1]) }), attempts: 3 }));
    const message = await takeOne();
    assertFields(message, {
      type: messageOf('1').type,
      attributes: messageOf('1').attributes,
      attempts: 3,
      isRedelivery: true,
      hasConsent: true,
    });
    assert.deepEqual(Buffer.from(message.body), Buffer.from([0, 255, 1]));
    assert.deepEqual(message.writtenAt, writtenAt);
    assert.notEqual(message.deliveryId, undefined);
    assert.deepEqual(await takeIds(one, intake()), ['1']);
    await close('1');
    assert.deepEqual(await takeIds(one, intake()), []);
  },
  'tell whether their last attempt left a failure, which it did not when a process died near them since': async ({
    store,
    record,
    one,
    id,
    intake,
    close,
  }) => {
    const taken = async (also: Partial<DeliveryRecord>) => {
      await store(record('1', also));
      const from = also.isSuspect ? (await one.store.deliveries.countSuspect(id, 60_000))! : intake();
      const { messages } = await inTransaction(one, (tx) => from.take(tx, 1));
      await close('1');
      return messages[0]?.hasFailure;
    };
    assert.deepEqual([await taken({}), await taken({ failure: undefined }), await taken({ isSuspect: true })], [true, false, false]);
    await store(record('1'));
    assert.equal((await intake().lease(1, 60_000))?.messages[0]?.hasFailure, true);
  },
  'are there with their commit only': async ({ one, record, isDue }) => {
    const tx = await begin(one);
    await one.store.deliveries.record(tx, [record('1')]);
    assert.equal(await isDue(), undefined);
    await tx.rollback();
    assert.equal(await isDue(), undefined);
  },
  'are due when they are due: not taken before, and told how long it takes': async ({ store, record, isDue, one, intake }) => {
    await store(record('later', { delayMs: 60_000 }));
    const { ms } = (await isDue())!;
    assertBetween(ms!, { least: 50_000, most: 60_000 });
    assert.deepEqual(await takeIds(one, intake()), []);
    await store(record('now'));
    assert.deepEqual(await isDue(), { ms: 0, suspectMs: undefined });
    assert.deepEqual(await takeIds(one, intake()), ['now']);
  },
  'are told for each subscription apart, and left out where there are none': async ({ store, record, otherId, one, id, intake }) => {
    await store(
      record('1', { subscriptionId: otherId }),
      record('dead', { state: 'dead' }),
      record('waiting', { state: 'waiting', key: 'k' }),
    );
    assert.deepEqual([...(await one.store.deliveries.due([id, otherId])).keys()], [otherId]);
    assert.deepEqual([...(await one.store.deliveries.due([])).keys()], []);
    assert.deepEqual(await takeIds(one, intake()), []);
  },
  'are taken by one at a time, and are back when that one is rolled back': async ({ store, record, one, intake }) => {
    await store(record('1'));
    const tx = await begin(one);
    assert.deepEqual((await intake().take(tx, 10)).messages.map(idOf), ['1']);
    assert.deepEqual(await takeIds(one, intake()), []);
    await tx.rollback();
    assert.deepEqual(await takeIds(one, intake()), ['1']);
  },
  'are left to the hand of this process that has them, also between a failure and its record, when nobody has them in the database':
    async ({ store, record, one, id }) => {
      await store(record('1'), record('2'));
      const taken: string[] = [];
      const others: string[] = [];
      const hand = { others: [], took: (deliveryId: string) => void taken.push(deliveryId) };
      const first = one.store.deliveries.intake(id, hand);
      assert.deepEqual(await takeIds(one, first), ['1']);
      others.push(...taken);
      const second = one.store.deliveries.intake(id, { others, took: () => undefined });
      assert.deepEqual(await takeIds(one, second), ['2']);
      assert.deepEqual(await takeIds(one, first), ['1']);
    },
  'are recorded again in their own row': async ({ store, record, takeOne, one, intake }) => {
    await store(record('1'));
    const first = await takeOne();
    await store(record('1', { message: first, attempts: 2, failure: failureOf('broken again') }));
    const second = await takeOne();
    assert.deepEqual({ same: second.deliveryId === first.deliveryId, attempts: second.attempts }, { same: true, attempts: 2 });
    await store(record('1', { message: second, attempts: 3, state: 'dead' }));
    assert.deepEqual(await takeIds(one, intake()), []);
    const { items } = await one.store.deadLetters.list({});
    assertFields(items, [{ attempts: 3, error: { code: 'E_CONTRACT', message: 'broken' }, message: { id: '1', source: 'orders' } }]);
  },
  'are retaken while nobody dealt with them, and not afterwards': async ({ store, record, takeOne, one, intake, close }) => {
    await store(record('1'));
    const message = await takeOne();
    assert.equal(await inTransaction(one, (tx) => intake().retake(tx, message)), true);
    await store(record('1', { message, attempts: 2 }));
    assert.equal(await inTransaction(one, (tx) => intake().retake(tx, message)), false);
    const again = await takeOne();
    await close('1');
    assert.equal(await inTransaction(one, (tx) => intake().retake(tx, again)), false);
  },
  'let the messages of a key go one after another, as each is closed': async ({ store, record, one, intake, close, skips }) => {
    await store(
      record('1', { key: 'k' }),
      record('2', { key: 'k', state: 'waiting' }),
      record('3', { key: 'k', state: 'waiting' }),
      record('x', { key: 'other', state: 'waiting' }),
    );
    const seen: string[] = [];
    for (let name: string | undefined = '1'; name !== undefined; ) {
      const names: string[] = await takeIds(one, intake());
      seen.push(...names);
      [name] = names;
      if (name !== undefined) await close(name);
    }
    assert.deepEqual(seen, ['1', '2', '3']);
    await inTransaction(one, (tx) => one.store.deliveries.free(tx, { ...skips, keys: ['other', 'none'] }));
    assert.deepEqual(await takeIds(one, intake()), ['x']);
  },
  'free a key past its dead letters and its invalid messages, unless these block it': async ({
    store,
    record,
    one,
    blocks,
    intake,
    skips,
  }) => {
    await store(
      record('1', { key: 'k', state: 'dead' }),
      record('2', { key: 'k', state: 'invalid' }),
      record('3', { key: 'k', state: 'waiting' }),
    );
    await inTransaction(one, (tx) => one.store.deliveries.free(tx, { ...blocks, keys: ['k'] }));
    assert.deepEqual(await takeIds(one, intake()), []);
    await inTransaction(one, (tx) => one.store.deliveries.free(tx, { ...skips, keys: ['k'] }));
    assert.deepEqual(await takeIds(one, intake()), ['3']);
  },
  'are closed by their row when what could not be read has got an identity, and nobody else is': async ({
    store,
    record,
    takeOne,
    one,
    skips,
    intake,
  }) => {
    await store(
      record('1', { identity: undefined, key: 'k' }),
      record('2', { key: 'k', state: 'waiting' }),
      record('3', { identity: undefined }),
    );
    for (const due of ['1', '3', '2']) {
      const message = await takeOne();
      assert.equal(idOf(message), due);
      await inTransaction(one, (tx) =>
        one.store.deliveries.close(tx, skips, [{ source: 'orders', id: 'late', deliveryId: message.deliveryId }]),
      );
    }
    assert.deepEqual(await takeIds(one, intake()), []);
  },
  'leave what waits behind an invalid message that blocks when the one before that is closed': async ({
    store,
    record,
    one,
    blocks,
    intake,
  }) => {
    await store(record('1', { key: 'k' }), record('2', { key: 'k', state: 'invalid' }), record('3', { key: 'k', state: 'waiting' }));
    await inTransaction(one, (tx) => one.store.deliveries.close(tx, blocks, [{ source: 'orders', id: '1' }]));
    assert.deepEqual(await takeIds(one, intake()), []);
  },
  'let go what waits with nothing unfinished ahead of it, in every key of the subscriptions asked for': async ({
    store,
    record,
    otherId,
    one,
    blocks,
    skips,
    close,
    intake,
  }) => {
    await store(
      ...['a', 'b', 'c'].flatMap((key) => [
        record(`dead ${key}`, { key, state: 'dead' }),
        record(`waits ${key}`, { key, state: 'waiting' }),
        record(`behind ${key}`, { key, state: 'waiting' }),
      ]),
      record('tried', { key: 'tried', delayMs: 60_000 }),
      record('waits for tried', { key: 'tried', state: 'waiting' }),
      record('of another', { key: 'a', state: 'waiting', subscriptionId: otherId }),
    );
    assert.equal(await one.store.deliveries.freeForgotten([blocks]), 0);
    assert.equal(await one.store.deliveries.freeForgotten([]), 0);
    assert.equal(await one.store.deliveries.freeForgotten([skips, { ...skips, subscriptionId: otherId }]), 4);
    assert.equal(await one.store.deliveries.freeForgotten([skips, { ...skips, subscriptionId: otherId }]), 0);
    const taken: string[] = [];
    for (let names = ['']; names.length > 0; await close(...names)) {
      names = await takeIds(one, intake());
      taken.push(...names);
      if (taken.length === 3) break;
    }
    assert.deepEqual(
      taken.map((name) => name.slice(0, 5)),
      ['waits', 'waits', 'waits'],
    );
    assert.deepEqual(await takeIds(one, one.store.deliveries.intake(otherId)), ['of another']);
  },
  'let nothing go of a key that somebody has locked': async ({ store, record, one, skips, isDue }) => {
    await store(record('1', { key: 'k', state: 'waiting' }));
    const putting = await begin(one);
    await one.store.deliveries.lockKeys(putting, { ...skips, keys: ['k'] });
    const freeing = one.store.deliveries.freeForgotten([skips]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await isDue(), undefined);
    await putting.commit();
    assert.equal(await freeing, 1);
  },
  'tell which keys are not finished; a dead letter counts where it blocks': async ({ store, record, lock, one, otherId }) => {
    await store(
      record('1', { key: 'retried', delayMs: 60_000 }),
      record('2', { key: 'held', state: 'waiting' }),
      record('3', { key: 'dead', state: 'dead' }),
      record('4', { key: 'invalid', state: 'invalid' }),
    );
    const keys = ['retried', 'held', 'dead', 'invalid', 'free', 'free'];
    assert.deepEqual(await lock(keys, false), ['held', 'retried']);
    assert.deepEqual(await lock(keys, true), ['dead', 'held', 'invalid', 'retried']);
    assert.deepEqual(
      await inTransaction(one, (tx) => one.store.deliveries.lockKeys(tx, { subscriptionId: otherId, keys, blocksKeys: true })),
      new Set(),
    );
  },
  'lock keys against each other until the transaction ends, and show what it did to the next one': async ({ one, id, lock, record }) => {
    const first = await begin(one);
    await one.store.deliveries.lockKeys(first, { subscriptionId: id, keys: ['k'], blocksKeys: false });
    let hasAnswered = false;
    const second = lock(['k', 'other'], false).finally(() => {
      hasAnswered = true;
    });
    await one.store.deliveries.record(first, [record('1', { key: 'k', delayMs: 60_000 })]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(hasAnswered, false);
    await first.commit();
    assert.deepEqual(await second, ['k']);
  },
  'free what another transaction is just putting behind them': async ({ store, record, one, id, close, intake }) => {
    await store(record('1', { key: 'k' }));
    const putting = await begin(one);
    await one.store.deliveries.lockKeys(putting, { subscriptionId: id, keys: ['k'], blocksKeys: false });
    await one.store.deliveries.record(putting, [record('2', { key: 'k', state: 'waiting' })]);
    const closing = close('1');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await putting.commit();
    await closing;
    assert.deepEqual(await takeIds(one, intake()), ['2']);
  },
  'do not deadlock over the same keys in different orders': async ({ lock }) => {
    const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
    const locks = Array.from({ length: 20 }, () =>
      lock(
        [...keys].sort(() => Math.random() - 0.5),
        false,
      ),
    );
    assert.deepEqual((await Promise.all(locks)).flat(), []);
  },
  'are leased one at a time, renewed, given back, and closed under the lease': async ({ store, record, intake, one, skips }) => {
    await store(record('1'), record('2'));
    const first = (await intake().lease(10, 10_000)) as Lease;
    const second = (await intake().lease(10, 10_000)) as Lease;
    assert.deepEqual([...first.messages, ...second.messages].map(idOf).sort(), ['1', '2']);
    assert.equal(await intake().lease(10, 10_000), undefined);
    assert.deepEqual(await takeIds(one, intake()), []);
    await first.renew();
    await second.release();
    assert.deepEqual(await takeIds(one, intake()), second.messages.map(idOf));
    await inTransaction(one, async (tx) => {
      await first.finish(tx);
      await one.store.deliveries.close(
        tx,
        skips,
        first.messages.map((message) => ({ source: 'orders', id: idOf(message) })),
      );
    });
    assert.equal(await codeOf(first.renew()), 'HF_LEASE_LOST');
  },
  'are taken over when a lease has ended, and the first one knows': async ({ store, record, intake, one }) => {
    await store(record('1'));
    const late = (await intake().lease(1, 50)) as Lease;
    await eventually(
      () => intake().lease(1, 10_000),
      (lease) => lease !== undefined,
    );
    assert.equal(await codeOf(late.renew()), 'HF_LEASE_LOST');
    assert.equal(await codeOf(inTransaction(one, (tx) => late.finish(tx))), 'HF_LEASE_LOST');
  },
  'are given back when the commit that was to close them fails': async ({ store, record, intake, one, id, isDue }) => {
    await store(record('1'), record('2', { isSuspect: true }));
    const plain = (await intake().lease(1, 60_000)) as Lease;
    const counted = (await (await one.store.deliveries.countSuspect(id, 60_000))!.lease(1, 60_000)) as Lease;
    for (const lease of [plain, counted]) {
      const tx = await begin(one);
      await lease.finish(tx);
      await tx.rollback();
      await lease.release();
    }
    assert.deepEqual(await isDue(), { ms: 0, suspectMs: 0 });
    const again = (await one.store.deliveries.countSuspect(id, 60_000))!;
    assert.equal((await inTransaction(one, (tx) => again.take(tx, 1))).messages[0]?.attempts, 1);
  },
  'are counted before they are handled when a process died near them, and handled alone': async ({
    store,
    record,
    isDue,
    one,
    intake,
    id,
    close,
  }) => {
    await store(record('suspect', { isSuspect: true, attempts: 1 }), record('plain'));
    assert.deepEqual(await isDue(), { ms: 0, suspectMs: 0 });
    assert.deepEqual(await takeIds(one, intake()), ['plain']);
    const counted = (await one.store.deliveries.countSuspect(id, 60_000))!;
    assert.equal(await one.store.deliveries.countSuspect(id, 60_000), undefined);
    const { messages } = await inTransaction(one, (tx) => counted.take(tx, 10));
    assert.deepEqual(
      messages.map((message) => ({ id: idOf(message), attempts: message.attempts })),
      [{ id: 'suspect', attempts: 1 }],
    );
    assert.equal(await inTransaction(one, (tx) => counted.retake(tx, messages[0]!)), true);
    await close('suspect', 'plain');
    assert.deepEqual(await inTransaction(one, async (tx) => (await counted.take(tx, 10)).messages), []);
  },
  'are counted once by a process that lives, which may not know of it because the answer was lost': async ({ store, record, one, id }) => {
    await store(record('suspect', { isSuspect: true, attempts: 1 }));
    await one.store.deliveries.countSuspect(id, 50);
    const again = await eventually(
      () => one.store.deliveries.countSuspect(id, 60_000),
      (counted) => counted !== undefined,
    );
    const { messages } = await inTransaction(one, (tx) => again!.take(tx, 1));
    assert.equal(messages[0]?.attempts, 1);
  },
  'that were counted are not retaken when another one has taken them over, whatever that one has counted': async ({
    store,
    record,
    one,
    id,
  }) => {
    await store(record('suspect', { isSuspect: true, attempts: 1 }));
    const late = (await one.store.deliveries.countSuspect(id, 50))!;
    const { messages } = await inTransaction(one, (tx) => late.take(tx, 1));
    await eventually(
      () => one.store.deliveries.countSuspect(id, 60_000),
      (counted) => counted !== undefined,
    );
    assert.equal(await inTransaction(one, (tx) => late.retake(tx, messages[0]!)), false);
  },
  ...eachOf<Scene, string>(
    ['as an intake', 'as a lease'],
    'do not count an attempt that is given back %s',
    (how) =>
      async ({ store, record, one, id }) => {
        await store(record('suspect', { isSuspect: true, attempts: 1 }));
        const counted = (await one.store.deliveries.countSuspect(id, 60_000))!;
        if (how === 'as an intake') await counted.settle([], 'requeue');
        else await (await counted.lease(1, 60_000))!.release();
        const again = (await one.store.deliveries.countSuspect(id, 60_000))!;
        assert.equal((await inTransaction(one, (tx) => again.take(tx, 1))).messages[0]?.attempts, 1);
      },
  ),
  'keep a counted one from others while it is taken or leased, however long that is': async ({ store, record, one, id }) => {
    await store(record('taken', { isSuspect: true }), record('leased', { isSuspect: true }));
    const taken = (await one.store.deliveries.countSuspect(id, 50))!;
    const tx = await begin(one);
    await taken.take(tx, 1);
    const leased = (await one.store.deliveries.countSuspect(id, 50))!;
    await leased.lease(1, 60_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await one.store.deliveries.countSuspect(id, 50), undefined);
    await tx.rollback();
  },
  'rest while their subscription is paused': async ({ store, record, one, isDue, intake, id }) => {
    await store(record('1'), record('2', { isSuspect: true }));
    await one.store.subscriptions.setState('contract.reader', 'paused', { by: 'contract' });
    assert.equal(await isDue(), undefined);
    assert.deepEqual(await takeIds(one, intake()), []);
    assert.equal(await intake().lease(1, 1000), undefined);
    assert.equal(await one.store.deliveries.countSuspect(id, 1000), undefined);
    await one.store.subscriptions.setState('contract.reader', 'active', { by: 'contract' });
    assert.deepEqual(await takeIds(one, intake()), ['1']);
  },
  'are known to be there, or not, when a hand-over from elsewhere begins': async ({ store, record, one, id, close }) => {
    const hasStored = () =>
      inTransaction(one, async (tx) => {
        const begun = await one.store.deliveries.begin(tx, id);
        await one.store.inbox.remember(tx, { subscriptionId: id, keys: [{ source: 'orders', id: 'next' }], ttlMs: 1000 });
        return begun.hasStored;
      });
    assert.equal(await hasStored(), false);
    await store(record('1'));
    assert.equal(await hasStored(), true);
    await close('1');
    assert.equal(await hasStored(), false);
  },
  'are not closed by a message of another source or subscription': async ({ store, record, one, skips, otherId, intake }) => {
    await store(record('1'));
    await inTransaction(one, (tx) => one.store.deliveries.close(tx, skips, [{ source: 'billing', id: '1' }]));
    await inTransaction(one, (tx) =>
      one.store.deliveries.close(tx, { ...skips, subscriptionId: otherId }, [{ source: 'orders', id: '1' }]),
    );
    assert.deepEqual(await takeIds(one, intake()), ['1']);
  },
});
