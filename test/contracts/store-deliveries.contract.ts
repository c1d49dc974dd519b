import type { DeliveryRecord, Incoming, KeyRule, Lease } from '@holdfast/core';
import {
  begin,
  codeOf,
  declare,
  eventually,
  failureOf,
  idOf,
  inTransaction,
  messageOf,
  recordOf,
  register,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
  takeIds,
} from './store-kit.js';

/** Stored deliveries, as every store must keep them. */
export function storeDeliveriesContract(fixture: StoreFixture): void {
  describe('stored deliveries', () => {
    let database: StoreDatabase;
    let one: StoreProcess;
    let id: number;
    let otherId: number;
    let skips: KeyRule;
    let blocks: KeyRule;

    beforeEach(async () => {
      database = await fixture();
      one = await start(database);
      [id, otherId] = (await register(one, declare('contract.reader', { ordering: 'key' }), declare('contract.other'))) as [number, number];
      skips = { subscriptionId: id, blocksKeys: false };
      blocks = { subscriptionId: id, blocksKeys: true };
    });

    afterEach(async () => {
      await one.close();
      await database.drop();
    });

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

    it('give a message back as it was, with its attempts, until it is closed', async () => {
      const writtenAt = new Date('2026-01-02T03:04:05.678Z');
      await store(
        record('1', { message: messageOf('1', { writtenAt, hasConsent: true, body: Uint8Array.from([0, 255, 1]) }), attempts: 3 }),
      );
      const message = await takeOne();
      expect(message).toMatchObject({
        type: messageOf('1').type,
        attributes: messageOf('1').attributes,
        attempts: 3,
        isRedelivery: true,
        hasConsent: true,
      });
      expect(Buffer.from(message.body)).toEqual(Buffer.from([0, 255, 1]));
      expect(message.writtenAt).toEqual(writtenAt);
      expect(message.deliveryId).toBeDefined();
      expect(await takeIds(one, intake())).toEqual(['1']);
      await close('1');
      expect(await takeIds(one, intake())).toEqual([]);
    });

    it('tell whether their last attempt left a failure, which it did not when a process died near them since', async () => {
      const taken = async (also: Partial<DeliveryRecord>) => {
        await store(record('1', also));
        const from = also.isSuspect ? (await one.store.deliveries.countSuspect(id, 60_000))! : intake();
        const { messages } = await inTransaction(one, (tx) => from.take(tx, 1));
        await close('1');
        return messages[0]?.hasFailure;
      };
      expect([await taken({}), await taken({ failure: undefined }), await taken({ isSuspect: true })]).toEqual([true, false, false]);
      await store(record('1'));
      expect((await intake().lease(1, 60_000))?.messages[0]?.hasFailure).toBe(true);
    });

    it('are there with their commit only', async () => {
      const tx = await begin(one);
      await one.store.deliveries.record(tx, [record('1')]);
      expect(await isDue()).toBeUndefined();
      await tx.rollback();
      expect(await isDue()).toBeUndefined();
    });

    it('are due when they are due: not taken before, and told how long it takes', async () => {
      await store(record('later', { delayMs: 60_000 }));
      const { ms } = (await isDue())!;
      expect(ms).toBeGreaterThan(50_000);
      expect(ms).toBeLessThanOrEqual(60_000);
      expect(await takeIds(one, intake())).toEqual([]);
      await store(record('now'));
      expect(await isDue()).toEqual({ ms: 0, suspectMs: undefined });
      expect(await takeIds(one, intake())).toEqual(['now']);
    });

    it('are told for each subscription apart, and left out where there are none', async () => {
      await store(
        record('1', { subscriptionId: otherId }),
        record('dead', { state: 'dead' }),
        record('waiting', { state: 'waiting', key: 'k' }),
      );
      expect([...(await one.store.deliveries.due([id, otherId])).keys()]).toEqual([otherId]);
      expect([...(await one.store.deliveries.due([])).keys()]).toEqual([]);
      expect(await takeIds(one, intake())).toEqual([]);
    });

    it('are taken by one at a time, and are back when that one is rolled back', async () => {
      await store(record('1'));
      const tx = await begin(one);
      expect((await intake().take(tx, 10)).messages.map(idOf)).toEqual(['1']);
      expect(await takeIds(one, intake())).toEqual([]);
      await tx.rollback();
      expect(await takeIds(one, intake())).toEqual(['1']);
    });

    it('are recorded again in their own row', async () => {
      await store(record('1'));
      const first = await takeOne();
      await store(record('1', { message: first, attempts: 2, failure: failureOf('broken again') }));
      const second = await takeOne();
      expect({ same: second.deliveryId === first.deliveryId, attempts: second.attempts }).toEqual({ same: true, attempts: 2 });
      await store(record('1', { message: second, attempts: 3, state: 'dead' }));
      expect(await takeIds(one, intake())).toEqual([]);
      const { items } = await one.store.deadLetters.list({});
      expect(items).toMatchObject([
        { attempts: 3, error: { code: 'E_CONTRACT', message: 'broken' }, message: { id: '1', source: 'orders' } },
      ]);
    });

    it('are retaken while nobody dealt with them, and not afterwards', async () => {
      await store(record('1'));
      const message = await takeOne();
      expect(await inTransaction(one, (tx) => intake().retake(tx, message))).toBe(true);
      await store(record('1', { message, attempts: 2 }));
      expect(await inTransaction(one, (tx) => intake().retake(tx, message))).toBe(false);
      const again = await takeOne();
      await close('1');
      expect(await inTransaction(one, (tx) => intake().retake(tx, again))).toBe(false);
    });

    it('let the messages of a key go one after another, as each is closed', async () => {
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
      expect(seen).toEqual(['1', '2', '3']);
      await inTransaction(one, (tx) => one.store.deliveries.free(tx, { ...skips, keys: ['other', 'none'] }));
      expect(await takeIds(one, intake())).toEqual(['x']);
    });

    it('free a key past its dead letters and its invalid messages, unless these block it', async () => {
      await store(
        record('1', { key: 'k', state: 'dead' }),
        record('2', { key: 'k', state: 'invalid' }),
        record('3', { key: 'k', state: 'waiting' }),
      );
      await inTransaction(one, (tx) => one.store.deliveries.free(tx, { ...blocks, keys: ['k'] }));
      expect(await takeIds(one, intake())).toEqual([]);
      await inTransaction(one, (tx) => one.store.deliveries.free(tx, { ...skips, keys: ['k'] }));
      expect(await takeIds(one, intake())).toEqual(['3']);
    });

    it('leave what waits behind an invalid message that blocks when the one before that is closed', async () => {
      await store(record('1', { key: 'k' }), record('2', { key: 'k', state: 'invalid' }), record('3', { key: 'k', state: 'waiting' }));
      await inTransaction(one, (tx) => one.store.deliveries.close(tx, blocks, [{ source: 'orders', id: '1' }]));
      expect(await takeIds(one, intake())).toEqual([]);
    });

    it('let go what waits with nothing unfinished ahead of it, in every key of the subscriptions asked for', async () => {
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
      expect(await one.store.deliveries.freeForgotten([blocks])).toBe(0);
      expect(await one.store.deliveries.freeForgotten([])).toBe(0);
      expect(await one.store.deliveries.freeForgotten([skips, { ...skips, subscriptionId: otherId }])).toBe(4);
      expect(await one.store.deliveries.freeForgotten([skips, { ...skips, subscriptionId: otherId }])).toBe(0);
      const taken: string[] = [];
      for (let names = ['']; names.length > 0; await close(...names)) {
        names = await takeIds(one, intake());
        taken.push(...names);
        if (taken.length === 3) break;
      }
      expect(taken.map((name) => name.slice(0, 5))).toEqual(['waits', 'waits', 'waits']);
      expect(await takeIds(one, one.store.deliveries.intake(otherId))).toEqual(['of another']);
    });

    it('let nothing go of a key that somebody has locked', async () => {
      await store(record('1', { key: 'k', state: 'waiting' }));
      const putting = await begin(one);
      await one.store.deliveries.lockKeys(putting, { ...skips, keys: ['k'] });
      const freeing = one.store.deliveries.freeForgotten([skips]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await isDue()).toBeUndefined();
      await putting.commit();
      expect(await freeing).toBe(1);
    });

    it('tell which keys are not finished; a dead letter counts where it blocks', async () => {
      await store(
        record('1', { key: 'retried', delayMs: 60_000 }),
        record('2', { key: 'held', state: 'waiting' }),
        record('3', { key: 'dead', state: 'dead' }),
        record('4', { key: 'invalid', state: 'invalid' }),
      );
      const keys = ['retried', 'held', 'dead', 'invalid', 'free', 'free'];
      expect(await lock(keys, false)).toEqual(['held', 'retried']);
      expect(await lock(keys, true)).toEqual(['dead', 'held', 'invalid', 'retried']);
      expect(
        await inTransaction(one, (tx) => one.store.deliveries.lockKeys(tx, { subscriptionId: otherId, keys, blocksKeys: true })),
      ).toEqual(new Set());
    });

    it('lock keys against each other until the transaction ends, and show what it did to the next one', async () => {
      const first = await begin(one);
      await one.store.deliveries.lockKeys(first, { subscriptionId: id, keys: ['k'], blocksKeys: false });
      let hasAnswered = false;
      const second = lock(['k', 'other'], false).finally(() => {
        hasAnswered = true;
      });
      await one.store.deliveries.record(first, [record('1', { key: 'k', delayMs: 60_000 })]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(hasAnswered).toBe(false);
      await first.commit();
      expect(await second).toEqual(['k']);
    });

    it('free what another transaction is just putting behind them', async () => {
      await store(record('1', { key: 'k' }));
      const putting = await begin(one);
      await one.store.deliveries.lockKeys(putting, { subscriptionId: id, keys: ['k'], blocksKeys: false });
      await one.store.deliveries.record(putting, [record('2', { key: 'k', state: 'waiting' })]);
      const closing = close('1');
      await new Promise((resolve) => setTimeout(resolve, 100));
      await putting.commit();
      await closing;
      expect(await takeIds(one, intake())).toEqual(['2']);
    });

    it('do not deadlock over the same keys in different orders', async () => {
      const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
      const locks = Array.from({ length: 20 }, () =>
        lock(
          [...keys].sort(() => Math.random() - 0.5),
          false,
        ),
      );
      expect((await Promise.all(locks)).flat()).toEqual([]);
    });

    it('are leased one at a time, renewed, given back, and closed under the lease', async () => {
      await store(record('1'), record('2'));
      const first = (await intake().lease(10, 10_000)) as Lease;
      const second = (await intake().lease(10, 10_000)) as Lease;
      expect([...first.messages, ...second.messages].map(idOf).sort()).toEqual(['1', '2']);
      expect(await intake().lease(10, 10_000)).toBeUndefined();
      expect(await takeIds(one, intake())).toEqual([]);
      await first.renew();
      await second.release();
      expect(await takeIds(one, intake())).toEqual(second.messages.map(idOf));
      await inTransaction(one, async (tx) => {
        await first.finish(tx);
        await one.store.deliveries.close(
          tx,
          skips,
          first.messages.map((message) => ({ source: 'orders', id: idOf(message) })),
        );
      });
      expect(await codeOf(first.renew())).toBe('HF_LEASE_LOST');
    });

    it('are taken over when a lease has ended, and the first one knows', async () => {
      await store(record('1'));
      const late = (await intake().lease(1, 50)) as Lease;
      await eventually(
        () => intake().lease(1, 10_000),
        (lease) => lease !== undefined,
      );
      expect(await codeOf(late.renew())).toBe('HF_LEASE_LOST');
      expect(await codeOf(inTransaction(one, (tx) => late.finish(tx)))).toBe('HF_LEASE_LOST');
    });

    it('are given back when the commit that was to close them fails', async () => {
      await store(record('1'), record('2', { isSuspect: true }));
      const plain = (await intake().lease(1, 60_000)) as Lease;
      const counted = (await (await one.store.deliveries.countSuspect(id, 60_000))!.lease(1, 60_000)) as Lease;
      for (const lease of [plain, counted]) {
        const tx = await begin(one);
        await lease.finish(tx);
        await tx.rollback();
        await lease.release();
      }
      expect(await isDue()).toEqual({ ms: 0, suspectMs: 0 });
      const again = (await one.store.deliveries.countSuspect(id, 60_000))!;
      expect((await inTransaction(one, (tx) => again.take(tx, 1))).messages[0]?.attempts).toBe(1);
    });

    it('are counted before they are handled when a process died near them, and handled alone', async () => {
      await store(record('suspect', { isSuspect: true, attempts: 1 }), record('plain'));
      expect(await isDue()).toEqual({ ms: 0, suspectMs: 0 });
      expect(await takeIds(one, intake())).toEqual(['plain']);
      const counted = (await one.store.deliveries.countSuspect(id, 60_000))!;
      expect(await one.store.deliveries.countSuspect(id, 60_000)).toBeUndefined();
      const { messages } = await inTransaction(one, (tx) => counted.take(tx, 10));
      expect(messages.map((message) => ({ id: idOf(message), attempts: message.attempts }))).toEqual([{ id: 'suspect', attempts: 1 }]);
      expect(await inTransaction(one, (tx) => counted.retake(tx, messages[0]!))).toBe(true);
      await close('suspect', 'plain');
      expect(await inTransaction(one, async (tx) => (await counted.take(tx, 10)).messages)).toEqual([]);
    });

    it('keep the count of a suspect whose process died again', async () => {
      await store(record('suspect', { isSuspect: true, attempts: 1 }));
      await one.store.deliveries.countSuspect(id, 50);
      const again = await eventually(
        () => one.store.deliveries.countSuspect(id, 60_000),
        (counted) => counted !== undefined,
      );
      const { messages } = await inTransaction(one, (tx) => again!.take(tx, 1));
      expect(messages[0]?.attempts).toBe(2);
    });

    it.each(['as an intake', 'as a lease'])('do not count an attempt that is given back %s', async (how) => {
      await store(record('suspect', { isSuspect: true, attempts: 1 }));
      const counted = (await one.store.deliveries.countSuspect(id, 60_000))!;
      if (how === 'as an intake') await counted.settle([], 'requeue');
      else await (await counted.lease(1, 60_000))!.release();
      const again = (await one.store.deliveries.countSuspect(id, 60_000))!;
      expect((await inTransaction(one, (tx) => again.take(tx, 1))).messages[0]?.attempts).toBe(1);
    });

    it('keep a counted one from others while it is taken or leased, however long that is', async () => {
      await store(record('taken', { isSuspect: true }), record('leased', { isSuspect: true }));
      const taken = (await one.store.deliveries.countSuspect(id, 50))!;
      const tx = await begin(one);
      await taken.take(tx, 1);
      const leased = (await one.store.deliveries.countSuspect(id, 50))!;
      await leased.lease(1, 60_000);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await one.store.deliveries.countSuspect(id, 50)).toBeUndefined();
      await tx.rollback();
    });

    it('rest while their subscription is paused', async () => {
      await store(record('1'), record('2', { isSuspect: true }));
      await one.store.subscriptions.setState('contract.reader', 'paused', { by: 'contract' });
      expect(await isDue()).toBeUndefined();
      expect(await takeIds(one, intake())).toEqual([]);
      expect(await intake().lease(1, 1000)).toBeUndefined();
      expect(await one.store.deliveries.countSuspect(id, 1000)).toBeUndefined();
      await one.store.subscriptions.setState('contract.reader', 'active', { by: 'contract' });
      expect(await takeIds(one, intake())).toEqual(['1']);
    });

    it('are not closed by a message of another source or subscription', async () => {
      await store(record('1'));
      await inTransaction(one, (tx) => one.store.deliveries.close(tx, skips, [{ source: 'billing', id: '1' }]));
      await inTransaction(one, (tx) =>
        one.store.deliveries.close(tx, { ...skips, subscriptionId: otherId }, [{ source: 'orders', id: '1' }]),
      );
      expect(await takeIds(one, intake())).toEqual(['1']);
    });
  });
}
