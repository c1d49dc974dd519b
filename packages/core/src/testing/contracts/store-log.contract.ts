import { strict as assert } from 'node:assert';
import type { Hint } from '../../store/store.port.js';
import type { Lease } from '../../delivery/intake.port.js';
import { laneOfSlot, slotOf } from '../../outbox/lanes.js';
import { assertFields, assertIncludes, eventually, assertBetween } from './assertions.js';
import { eachOf, factsOf } from './store-fact.js';
import {
  begin,
  codeOf,
  declare,
  inTransaction,
  keyOf,
  publish,
  register,
  rowOf,
  type StoreFixture,
  type StoreProcess,
  start,
  TYPE,
  takeFrom,
} from './store-kit.js';

const LANES = 4;

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database, { lanes: LANES });
  const other = await start(database, { lanes: LANES });
  const [id] = (await register(one, declare('contract.reader'))) as [number];
  await one.store.cursors.create(id, 'now');
  const cursorOf = (key: string) => ({ subscriptionId: id, lane: laneOfSlot(slotOf(key), LANES) });
  const take = (process: StoreProcess, key: string, limit = 100) =>
    takeFrom(process, cursorOf(key), limit).then(({ messages }) => messages.map(keyOf));
  const lease = (process: StoreProcess, key: string, ttlMs: number) =>
    process.store.cursors.lease(cursorOf(key), 10, ttlMs) as Promise<Lease>;
  return {
    one,
    cursorOf,
    take,
    other,
    id,
    lease,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** The log, its cursors and the relay's places, as every store must keep them. */
export const LOG_FACTS = factsOf('the log', scene, {
  ...eachOf<Scene, number>(
    [1, 8],
    'gives a message that was not consumed again, however many rows of other types are before it (at most %s at a time)',
    (limit) =>
      async ({ one, cursorOf }) => {
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
        assert.deepEqual(await look(1), seen.slice(0, 1));
        assert.deepEqual(await look(1), seen.slice(0, 1));
      },
  ),
  'gives rows back byte for byte, with when they were written': async ({ one, cursorOf }) => {
    const row = rowOf('key 🔑 ключ', {
      attributes: '{"partitionkey":"key 🔑 ключ","note":"a\\u0000 \'; drop"}',
      body: Uint8Array.from([0, 1, 254, 255]),
    });
    const before = Date.now();
    assert.deepEqual(await inTransaction(one, (tx) => one.store.log.append(tx, [row])), [cursorOf('key 🔑 ключ').lane]);
    const { messages } = await inTransaction(one, (tx) => one.store.cursors.take(tx, cursorOf('key 🔑 ключ'), 10));
    assert.equal(messages.length, 1);
    const [message] = messages;
    assertFields(message, {
      type: TYPE,
      attributes: row.attributes,
      attempts: 0,
      isRedelivery: false,
      hasConsent: false,
      deliveryId: undefined,
    });
    assert.deepEqual(Buffer.from(message!.body), Buffer.from(row.body));
    assert.equal(message!.lane, cursorOf('key 🔑 ключ').lane);
    assertBetween(Math.abs(message!.writtenAt!.getTime() - before), { most: 60_000 });
  },
  'shows nothing of a transaction before its commit, and nothing of one that is rolled back': async ({ one, take }) => {
    const tx = await begin(one);
    await one.store.log.append(tx, [rowOf('a')]);
    assert.deepEqual(await take(one, 'a'), []);
    await tx.rollback();
    assert.deepEqual(await take(one, 'a'), []);
    await publish(one, 'a');
    assert.deepEqual(await take(one, 'a'), ['a']);
  },
  'keeps a key in one lane and its order, and gives a unit’s keyless rows one lane together': async ({ one, take, cursorOf }) => {
    for (let i = 0; i < 3; i += 1) await publish(one, 'a');
    assert.deepEqual(await take(one, 'a'), ['a', 'a', 'a']);
    const lanes = await inTransaction(one, (tx) => one.store.log.append(tx, [rowOf(undefined), rowOf(undefined), rowOf('a')]));
    assert.equal(lanes[0], lanes[1]);
    assert.equal(lanes[2], cursorOf('a').lane);
  },
  'hands a lane to one taker at a time, who does not wait and does not make others wait': async ({ one, cursorOf, take, other }) => {
    await publish(one, 'a');
    const tx = await begin(one);
    assert.equal((await one.store.cursors.take(tx, cursorOf('a'), 10)).messages.length, 1);
    assert.deepEqual(await take(other, 'a'), []);
    await tx.rollback();
    assert.deepEqual(await take(other, 'a'), ['a']);
    assert.deepEqual(await take(one, 'a'), []);
  },
  'tells one who waits for a lane what became of what another one took: consumed, or there again': async ({
    one,
    other,
    cursorOf,
    take,
  }) => {
    await publish(one, 'a', 'a');
    for (const end of ['rollback', 'commit'] as const) {
      const tx = await begin(one);
      const taken = await one.store.cursors.take(tx, cursorOf('a'), 1);
      await taken.confirm?.();
      const waiting = await begin(other);
      const locked = other.store.cursors.lock(waiting, cursorOf('a'));
      assert.deepEqual(await take(other, 'a'), []);
      await tx[end]();
      await locked;
      const { messages } = await other.store.cursors.take(waiting, cursorOf('a'), 1);
      await waiting.rollback();
      assert.equal(messages.length, 1);
      assert.equal(messages[0]?.place === taken.messages[0]?.place, end === 'rollback');
    }
  },
  'takes only the types of the subscription, and passes over the others': async ({ one, cursorOf, id }) => {
    await inTransaction(one, (tx) =>
      one.store.log.append(tx, [rowOf('a', { type: 'contract.other' }), rowOf('a'), rowOf('a', { type: 'contract.other' })]),
    );
    const taken = await inTransaction(one, (tx) => one.store.cursors.take(tx, cursorOf('a'), 10));
    assert.deepEqual(
      taken.messages.map(({ type }) => type),
      [TYPE],
    );
    assert.equal(taken.isMoved, true);
    assert.deepEqual(await one.store.cursors.news([id]), []);
  },
  'takes at most so many, in order, and says that there is more': async ({ one, cursorOf, take }) => {
    await publish(one, 'a', 'a', 'a');
    const taken = await inTransaction(one, (tx) => one.store.cursors.take(tx, cursorOf('a'), 2));
    assert.deepEqual({ count: taken.messages.length, hasMore: taken.hasMore }, { count: 2, hasMore: true });
    assert.deepEqual(await take(one, 'a', 2), ['a']);
  },
  'leases a lane outside any transaction: nobody else gets it, and `finish` moves on': async ({ one, cursorOf, other, take }) => {
    await publish(one, 'a', 'a');
    const first = await one.store.cursors.lease(cursorOf('a'), 1, 10_000);
    assert.equal(first?.messages.length, 1);
    assert.equal(await other.store.cursors.lease(cursorOf('a'), 1, 10_000), undefined);
    assert.deepEqual(await take(other, 'a'), []);
    await first?.renew();
    await first?.finish(undefined);
    assert.deepEqual(await take(other, 'a'), ['a']);
    assert.equal(await one.store.cursors.lease(cursorOf('a'), 1, 10_000), undefined);
  },
  'gives a lease back at once on `release`': async ({ one, lease, take, other }) => {
    await publish(one, 'a');
    await (await lease(one, 'a', 10_000)).release();
    assert.deepEqual(await take(other, 'a'), ['a']);
  },
  'finishes a lease with the transaction it is given, or not at all': async ({ one, lease, take }) => {
    await publish(one, 'a');
    const held = await lease(one, 'a', 10_000);
    const tx = await begin(one);
    await held.finish(tx);
    await tx.rollback();
    await inTransaction(one, (again) => held.finish(again));
    assert.deepEqual(await take(one, 'a'), []);
  },
  'lets another one take over when a lease has ended, and the first one knows': async ({ one, lease, other, cursorOf }) => {
    await publish(one, 'a');
    const late = await lease(one, 'a', 50);
    const taken = await eventually(
      () => other.store.cursors.lease(cursorOf('a'), 1, 10_000),
      (got) => got !== undefined,
    );
    assert.equal(taken?.messages.length, 1);
    assert.equal(await codeOf(late.renew()), 'HF_LEASE_LOST');
    assert.equal(await codeOf(late.finish(undefined)), 'HF_LEASE_LOST');
    await late.release();
    await taken?.finish(undefined);
  },
  'gives a paused subscription nothing, in a transaction or under a lease': async ({ one, take, cursorOf }) => {
    await publish(one, 'a');
    await one.store.subscriptions.setState('contract.reader', 'paused', { by: 'contract' });
    assert.deepEqual(await take(one, 'a'), []);
    assert.equal(await one.store.cursors.lease(cursorOf('a'), 1, 10_000), undefined);
    await one.store.subscriptions.setState('contract.reader', 'active', { by: 'contract' });
    assert.deepEqual(await take(one, 'a'), ['a']);
  },
  'counts what its slowest reader has not passed, and what is scheduled': async ({ one, take, cursorOf }) => {
    await publish(one, 'a', 'b', 'c');
    await inTransaction(one, (tx) => one.store.log.append(tx, [rowOf('a', { due: { delayMs: 60_000 } })]));
    assertFields(await one.store.log.stats(), { backlog: 3, scheduled: 1 });
    await take(one, 'a');
    const { lanes } = await one.store.log.stats();
    assert.equal(lanes.length, LANES);
    assert.equal(lanes.find(({ lane }) => lane === cursorOf('a').lane)?.backlog, 0);
  },
  'knows how long its oldest row waits for a reader of this service, and that none does': async ({ one, take }) => {
    assert.equal(await one.store.log.lagMs(), 0);
    await publish(one, 'a');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertBetween(await one.store.log.lagMs(), { least: 45 });
    assertBetween(await one.store.log.lagMs(), { most: 60_000 });
    await take(one, 'a');
    assert.equal(await one.store.log.lagMs(), 0);
  },
  'moves scheduled rows into the log when they are due': async ({ one, take }) => {
    await inTransaction(one, (tx) =>
      one.store.log.append(tx, [rowOf('a', { due: { delayMs: 100 } }), rowOf('b', { due: { at: new Date(0) } })]),
    );
    assert.deepEqual(await take(one, 'a'), []);
    const moved = await eventually(
      () => one.store.upkeep.moveScheduled(10),
      ({ moved: count }) => count > 0,
    );
    await eventually(
      () => one.store.upkeep.moveScheduled(10),
      ({ nextDueMs }) => nextDueMs === undefined,
    );
    assertBetween(moved.moved, { most: 2 });
    assertIncludes(await take(one, 'a'), 'a');
  },
  'trims what was read and is old enough, and nothing else': async ({ one, take }) => {
    await publish(one, 'a', 'a');
    await take(one, 'a', 1);
    assert.equal(await one.store.upkeep.trim(60_000), 0);
    assert.equal(await one.store.upkeep.trim(0), 1);
    assert.deepEqual(await take(one, 'a'), ['a']);
  },
  'wakes other processes, once for many hints, and not the one that gave them': async ({ other, one }) => {
    const woken: Hint[] = [];
    const own: Hint[] = [];
    const canListen = await other.store.wakeups.listen((hint) => woken.push(hint));
    await one.store.wakeups.listen((hint) => own.push(hint));
    if (!canListen) return;
    one.store.wakeups.notify({ lanes: [], hasReplies: true });
    await eventually(
      () => woken,
      ({ length }) => length > 0,
    );
    assert.deepEqual(woken, [{ lanes: [], hasReplies: true }]);
    for (let i = 0; i < 200; i += 1) one.store.wakeups.notify({ lanes: [i % LANES], hasReplies: false });
    const lanes = await eventually(
      () => new Set(woken.flatMap((hint) => hint.lanes ?? [])),
      (seen) => seen.size === LANES,
    );
    assert.equal(
      woken.slice(1).every(({ hasReplies }) => !hasReplies),
      true,
    );
    assert.deepEqual([...lanes].sort(), [0, 1, 2, 3]);
    assertBetween(woken.length, { most: 50 });
    assert.deepEqual(own, []);
  },
});
