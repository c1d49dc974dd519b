import { type Lease, laneOfSlot, slotOf } from '@holdfast/core';
import {
  begin,
  codeOf,
  declare,
  eventually,
  inTransaction,
  keyOf,
  publish,
  register,
  rowOf,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
  TYPE,
} from './store-kit.js';

const LANES = 4;

/** The log, its cursors and the relay's places, as every store must keep them. */
export function storeLogContract(fixture: StoreFixture): void {
  describe('the log', () => {
    let database: StoreDatabase;
    let one: StoreProcess;
    let other: StoreProcess;
    let id: number;

    beforeEach(async () => {
      database = await fixture();
      one = await start(database, { lanes: LANES });
      other = await start(database, { lanes: LANES });
      [id] = (await register(one, declare('contract.reader'))) as [number];
      await one.store.cursors.create(id, 'now');
    });

    afterEach(async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    });

    const cursorOf = (key: string) => ({ subscriptionId: id, lane: laneOfSlot(slotOf(key), LANES) });
    const take = (process: StoreProcess, key: string, limit = 100) =>
      inTransaction(process, async (tx) => (await process.store.cursors.take(tx, cursorOf(key), limit)).messages.map(keyOf));
    const lease = (process: StoreProcess, key: string, ttlMs: number) =>
      process.store.cursors.lease(cursorOf(key), 10, ttlMs) as Promise<Lease>;

    it.each([1, 8])(
      'gives a message that was not consumed again, however many rows of other types are before it (at most %i at a time)',
      async (limit) => {
        await inTransaction(one, (tx) =>
          one.store.log.append(
            tx,
            Array.from({ length: 30 }, () => rowOf('a', { type: 'unwanted' })),
          ),
        );
        await publish(one, 'a', 'a', 'a');
        /** What one take that is not committed gives. */
        const look = async (most: number): Promise<string[]> => {
          const tx = await begin(one);
          const { messages } = await one.store.cursors.take(tx, cursorOf('a'), most);
          await tx.rollback();
          return messages.map(({ place }) => place);
        };
        let seen: string[] = [];
        while (seen.length === 0) seen = await look(limit);
        expect(await look(1)).toEqual(seen.slice(0, 1));
        expect(await look(1)).toEqual(seen.slice(0, 1));
      },
    );

    it('gives rows back byte for byte, with when they were written', async () => {
      const row = rowOf('key 🔑 ключ', {
        attributes: '{"partitionkey":"key 🔑 ключ","note":"a\\u0000 \'; drop"}',
        body: Uint8Array.from([0, 1, 254, 255]),
      });
      const before = Date.now();
      expect(await inTransaction(one, (tx) => one.store.log.append(tx, [row]))).toEqual([cursorOf('key 🔑 ключ').lane]);
      const { messages } = await inTransaction(one, (tx) => one.store.cursors.take(tx, cursorOf('key 🔑 ключ'), 10));
      expect(messages).toHaveLength(1);
      const [message] = messages;
      expect(message).toMatchObject({
        type: TYPE,
        attributes: row.attributes,
        attempts: 0,
        isRedelivery: false,
        hasConsent: false,
        deliveryId: undefined,
      });
      expect(Buffer.from(message!.body)).toEqual(Buffer.from(row.body));
      expect(message!.lane).toBe(cursorOf('key 🔑 ключ').lane);
      expect(Math.abs(message!.writtenAt!.getTime() - before)).toBeLessThan(60_000);
    });

    it('shows nothing of a transaction before its commit, and nothing of one that is rolled back', async () => {
      const tx = await begin(one);
      await one.store.log.append(tx, [rowOf('a')]);
      expect(await take(one, 'a')).toEqual([]);
      await tx.rollback();
      expect(await take(one, 'a')).toEqual([]);
      await publish(one, 'a');
      expect(await take(one, 'a')).toEqual(['a']);
    });

    it('keeps a key in one lane and its order, and gives a unit’s keyless rows one lane together', async () => {
      for (let i = 0; i < 3; i += 1) await publish(one, 'a');
      expect(await take(one, 'a')).toEqual(['a', 'a', 'a']);
      const lanes = await inTransaction(one, (tx) => one.store.log.append(tx, [rowOf(undefined), rowOf(undefined), rowOf('a')]));
      expect(lanes[0]).toBe(lanes[1]);
      expect(lanes[2]).toBe(cursorOf('a').lane);
    });

    it('hands a lane to one taker at a time, who does not wait and does not make others wait', async () => {
      await publish(one, 'a');
      const tx = await begin(one);
      expect((await one.store.cursors.take(tx, cursorOf('a'), 10)).messages).toHaveLength(1);
      expect(await take(other, 'a')).toEqual([]);
      await tx.rollback();
      expect(await take(other, 'a')).toEqual(['a']);
      expect(await take(one, 'a')).toEqual([]);
    });

    it('takes only the types of the subscription, and passes over the others', async () => {
      await inTransaction(one, (tx) =>
        one.store.log.append(tx, [rowOf('a', { type: 'contract.other' }), rowOf('a'), rowOf('a', { type: 'contract.other' })]),
      );
      const taken = await inTransaction(one, (tx) => one.store.cursors.take(tx, cursorOf('a'), 10));
      expect(taken.messages.map(({ type }) => type)).toEqual([TYPE]);
      expect(taken.isMoved).toBe(true);
      expect(await one.store.cursors.news([id])).toEqual([]);
    });

    it('takes at most so many, in order, and says that there is more', async () => {
      await publish(one, 'a', 'a', 'a');
      const taken = await inTransaction(one, (tx) => one.store.cursors.take(tx, cursorOf('a'), 2));
      expect({ count: taken.messages.length, hasMore: taken.hasMore }).toEqual({ count: 2, hasMore: true });
      expect(await take(one, 'a', 2)).toEqual(['a']);
    });

    it('leases a lane outside any transaction: nobody else gets it, and `finish` moves on', async () => {
      await publish(one, 'a', 'a');
      const first = await one.store.cursors.lease(cursorOf('a'), 1, 10_000);
      expect(first?.messages).toHaveLength(1);
      expect(await other.store.cursors.lease(cursorOf('a'), 1, 10_000)).toBeUndefined();
      expect(await take(other, 'a')).toEqual([]);
      await first?.renew();
      await first?.finish(undefined);
      expect(await take(other, 'a')).toEqual(['a']);
      expect(await one.store.cursors.lease(cursorOf('a'), 1, 10_000)).toBeUndefined();
    });

    it('gives a lease back at once on `release`', async () => {
      await publish(one, 'a');
      await (await lease(one, 'a', 10_000)).release();
      expect(await take(other, 'a')).toEqual(['a']);
    });

    it('finishes a lease with the transaction it is given, or not at all', async () => {
      await publish(one, 'a');
      const held = await lease(one, 'a', 10_000);
      const tx = await begin(one);
      await held.finish(tx);
      await tx.rollback();
      await inTransaction(one, (again) => held.finish(again));
      expect(await take(one, 'a')).toEqual([]);
    });

    it('lets another one take over when a lease has ended, and the first one knows', async () => {
      await publish(one, 'a');
      const late = await lease(one, 'a', 50);
      const taken = await eventually(
        () => other.store.cursors.lease(cursorOf('a'), 1, 10_000),
        (got) => got !== undefined,
      );
      expect(taken?.messages).toHaveLength(1);
      expect(await codeOf(late.renew())).toBe('HF_LEASE_LOST');
      expect(await codeOf(late.finish(undefined))).toBe('HF_LEASE_LOST');
      await late.release();
      await taken?.finish(undefined);
    });

    it('gives a paused subscription nothing, in a transaction or under a lease', async () => {
      await publish(one, 'a');
      await one.store.subscriptions.setState('contract.reader', 'paused', { by: 'contract' });
      expect(await take(one, 'a')).toEqual([]);
      expect(await one.store.cursors.lease(cursorOf('a'), 1, 10_000)).toBeUndefined();
      await one.store.subscriptions.setState('contract.reader', 'active', { by: 'contract' });
      expect(await take(one, 'a')).toEqual(['a']);
    });

    it('counts what its slowest reader has not passed, and what is scheduled', async () => {
      await publish(one, 'a', 'b', 'c');
      await inTransaction(one, (tx) => one.store.log.append(tx, [rowOf('a', { due: { delayMs: 60_000 } })]));
      expect(await one.store.log.stats()).toMatchObject({ backlog: 3, scheduled: 1 });
      await take(one, 'a');
      const { lanes } = await one.store.log.stats();
      expect(lanes).toHaveLength(LANES);
      expect(lanes.find(({ lane }) => lane === cursorOf('a').lane)?.backlog).toBe(0);
    });

    it('moves scheduled rows into the log when they are due', async () => {
      await inTransaction(one, (tx) =>
        one.store.log.append(tx, [rowOf('a', { due: { delayMs: 100 } }), rowOf('b', { due: { at: new Date(0) } })]),
      );
      expect(await take(one, 'a')).toEqual([]);
      const moved = await eventually(
        () => one.store.upkeep.moveScheduled(10),
        ({ moved: count }) => count > 0,
      );
      await eventually(
        () => one.store.upkeep.moveScheduled(10),
        ({ nextDueMs }) => nextDueMs === undefined,
      );
      expect(moved.moved).toBeLessThanOrEqual(2);
      expect(await take(one, 'a')).toContain('a');
    });

    it('moves the relay by compare-and-set, past what was confirmed', async () => {
      await publish(one, 'a', 'a', 'a');
      const batches = await one.store.relay.read(100);
      const theirs = await other.store.relay.read(100);
      expect(batches.flatMap(({ rows }) => rows.map(keyOf))).toEqual(['a', 'a', 'a']);
      expect(await one.store.relay.advance(batches[0]!, 2)).toBe(true);
      expect(await other.store.relay.advance(theirs[0]!, 3)).toBe(false);
      expect((await one.store.relay.read(100)).flatMap(({ rows }) => rows)).toHaveLength(1);
    });

    it('trims what was read and is old enough, and nothing else', async () => {
      await publish(one, 'a', 'a');
      await take(one, 'a', 1);
      expect(await one.store.upkeep.trim(60_000)).toBe(0);
      expect(await one.store.upkeep.trim(0)).toBe(1);
      expect(await take(one, 'a')).toEqual(['a']);
    });

    it('wakes other processes, once for many hints, and not the one that gave them', async () => {
      const woken: (readonly number[])[] = [];
      const own: (readonly number[])[] = [];
      const canListen = await other.store.wakeups.listen((lanes) => woken.push(lanes));
      await one.store.wakeups.listen((lanes) => own.push(lanes));
      if (!canListen) return;
      for (let i = 0; i < 200; i += 1) one.store.wakeups.notify([i % LANES]);
      const lanes = await eventually(
        () => new Set(woken.flat()),
        (seen) => seen.size === LANES,
      );
      expect([...lanes].sort()).toEqual([0, 1, 2, 3]);
      expect(woken.length).toBeLessThan(50);
      expect(own).toEqual([]);
    });
  });
}
