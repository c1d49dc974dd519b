import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import type { LeaseRound } from '../../lease/lease.store.port.js';
import type { ParkedMessage } from '../../operations/operators.js';
import { laneOfSlot, slotOf } from '../../outbox/lanes.js';
import { type Parking, RELAY_SCOPE, type RelayBatch } from '../../outbox/relay.store.port.js';
import { assertIncludes, assertBetween, assertFields, eventually } from './assertions.js';
import { factsOf, type StoreFact } from './store-fact.js';

import { inTransaction, keyOf, publish, rowOf, type StoreFixture, type StoreProcess, start } from './store-kit.js';

const LANES = 4;

const LONG_MS = 60_000;
/** Longer than a busy machine takes for the next statement. */
const SHORT_MS = 3000;

/** Longer than a busy machine takes for the next round. */
const KEPT_MS = 4000;

const MUCH = 2 ** 24;

const ENOUGH = { rows: 100, bytes: MUCH };

const BY = { by: 'a person' };

/** A process that makes rounds by hand. */
class Holder {
  readonly nodeId = randomUUID();
  held: LeaseRound['held'] = [];
  isAble = true;

  constructor(
    readonly process: StoreProcess,
    private readonly scope: string,
  ) {}

  async round(ttlMs = LONG_MS): Promise<{ readonly parts: readonly number[]; readonly share: number }> {
    const ownerTokens = [...new Set(this.held.map(({ ownerToken }) => ownerToken))];
    const request = { nodeId: this.nodeId, ownerTokens, newToken: randomUUID(), ttlMs, isAble: this.isAble };
    const { held, share } = await this.process.store.leases.round(this.scope, request);
    this.held = held;
    return { parts: held.map(({ part }) => part), share };
  }

  async giveBack(...parts: readonly number[]): Promise<void> {
    await this.process.store.leases.release(
      this.scope,
      this.held.filter(({ part }) => parts.includes(part)),
    );
    this.held = this.held.filter(({ part }) => !parts.includes(part));
  }

  leave(): Promise<void> {
    const ownerTokens = this.held.map(({ ownerToken }) => ownerToken);
    return this.process.store.leases.leave(this.scope, { nodeId: this.nodeId, ownerTokens });
  }

  tokenOf(lane: number): string {
    return this.held.find(({ part }) => part === lane)?.ownerToken ?? randomUUID();
  }
}

const SCOPE = 'contract';

/** What facts about leases begin with. */
async function leases(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database, { lanes: LANES });
  const other = await start(database, { lanes: LANES });
  await one.store.leases.declare(SCOPE, 5);
  await other.store.leases.declare(SCOPE, 5);
  const first = new Holder(one, SCOPE);
  const second = new Holder(other, SCOPE);
  /** All times were written before the clock was set back by an hour. */
  const ahead = async () => {
    await database.execute(`update holdfast_lease set lease_until = lease_until + interval '1 hour'`);
    await database.execute(`update holdfast_lease_member set seen_until = seen_until + interval '1 hour'`);
  };
  return {
    first,
    second,
    other,
    one,
    ahead,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

const OF_LEASES = factsOf('leases of parts', leases, {
  'are all of the first that comes, and shared evenly with the second as soon as they are given back': async ({ first, second }) => {
    assert.deepEqual(await first.round(), { parts: [0, 1, 2, 3, 4], share: 5 });
    assert.deepEqual((await second.round()).parts, []);
    const { share } = await first.round();
    await first.giveBack(...[0, 1, 2, 3, 4].slice(share));
    assert.equal((await second.round()).parts.length, 5 - share);
    assert.deepEqual([...(await first.round()).parts, ...(await second.round()).parts].sort(), [0, 1, 2, 3, 4]);
    assert.equal(Math.abs(share - (5 - share)), 1);
  },
  'are as many as whoever came first has said': async ({ other, one }) => {
    assert.equal(await other.store.leases.declare(SCOPE, 9), 5);
    const answers = await Promise.all([one.store.leases.declare('other', 2), other.store.leases.declare('other', 3)]);
    assertIncludes(answers, await one.store.leases.declare('other', 7));
  },
  'have one owner each, however many ask at once': async ({ one, other }) => {
    const holders = Array.from({ length: 8 }, (_, n) => new Holder(n % 2 === 0 ? one : other, SCOPE));
    await Promise.all(holders.map((holder) => holder.round()));
    const parts = holders.flatMap(({ held }) => held.map(({ part }) => part));
    assert.deepEqual([...parts].sort(), [...new Set(parts)].sort());
  },
  'are kept by rounds, and taken by another process when they have ended': async ({ first, second }) => {
    await first.round(KEPT_MS);
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, KEPT_MS / 3));
      assert.deepEqual((await first.round(KEPT_MS)).parts, [0, 1, 2, 3, 4]);
      assert.deepEqual((await second.round()).parts, []);
    }
    await eventually(
      () => second.round(),
      ({ parts }) => parts.length === 5,
    );
    assert.deepEqual((await first.round()).parts, []);
  },
  'tell how long they last yet, never longer than was asked for': async ({ first }) => {
    await first.round(1000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await first.round(1000);
    for (const { leftMs } of first.held) assertBetween(leftMs, { most: 1000 });
  },
  'are left to others by a process that can do nothing with them, and kept by it when there are none': async ({ first, second }) => {
    first.isAble = false;
    assert.deepEqual((await first.round()).parts, [0, 1, 2, 3, 4]);
    await second.round();
    const { share } = await first.round();
    assert.equal(share, 0);
    await first.giveBack(0, 1, 2, 3, 4);
    assert.deepEqual(await second.round(), { parts: [0, 1, 2, 3, 4], share: 5 });
  },
  'are free at once when their process leaves, and its share is the others too': async ({ first, second }) => {
    await first.round();
    await second.round();
    await first.leave();
    assert.deepEqual(await second.round(), { parts: [0, 1, 2, 3, 4], share: 5 });
  },
  'that were taken before the clock was set back stay with whoever lives, and are free of whoever is dead in the time of one': async ({
    one,
    first,
    second,
    ahead,
  }) => {
    const dead = new Holder(one, SCOPE);
    await dead.round();
    await first.round();
    const { share } = await dead.round();
    await dead.giveBack(...[0, 1, 2, 3, 4].slice(share));
    const { parts: kept } = await first.round();
    assert.equal(kept.length, 5 - share);
    await ahead();
    // The others look first.
    assert.deepEqual((await second.round(SHORT_MS)).parts, []);
    assert.deepEqual((await first.round()).parts, kept);
    assertBetween(first.held[0]?.leftMs ?? LONG_MS + 1, { most: LONG_MS });
    const all = await eventually(
      async () => [...(await first.round()).parts, ...(await second.round()).parts].sort(),
      ({ length }) => length === 5,
    );
    assert.deepEqual(all, [0, 1, 2, 3, 4]);
  },
  'are not given back by whoever has lost them': async ({ first, second }) => {
    await first.round(1);
    await eventually(
      () => second.round(),
      ({ parts }) => parts.length === 5,
    );
    await first.giveBack(0, 1, 2, 3, 4);
    await first.leave();
    assert.deepEqual((await second.round()).parts, [0, 1, 2, 3, 4]);
  },
});

/** What facts about the relay begin with. */
async function relay(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database, { lanes: LANES });
  const other = await start(database, { lanes: LANES });
  const owner = new Holder(one, RELAY_SCOPE);
  await owner.round();
  const ALL = Array.from({ length: LANES }, (_, lane) => lane);
  const read = async (process = one): Promise<RelayBatch> => (await process.store.relay.read(ALL, ENOUGH))[0] as RelayBatch;
  const advance = (
    batch: RelayBatch,
    count: number,
    { parked = [], holder = owner }: { parked?: readonly Parking[]; holder?: Holder } = {},
  ) => holder.process.store.relay.advance(batch, { count, parked, ownerToken: holder.tokenOf(batch.lane) });
  const park = (id: bigint, reason: Parking['reason'] = 'rejected', delayMs = reason === 'behind' ? undefined : 0): Parking => ({
    id,
    reason,
    error: 'why',
    delayMs,
  });
  const due = async () => (await one.store.parked.due(ALL, ENOUGH)).flatMap(({ rows }) => rows);
  const parkedList = async (): Promise<readonly ParkedMessage[]> => (await one.store.parked.list({})).items;
  const laneOf = (key: string) => laneOfSlot(slotOf(key), LANES);
  return {
    one,
    read,
    other,
    advance,
    park,
    parkedList,
    ALL,
    due,
    owner,
    laneOf,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

const OF_THE_RELAY = factsOf('the relay', relay, {
  'moves on by compare-and-set, past what was confirmed': async ({ one, read, other, advance }) => {
    await publish(one, 'a', 'a', 'a');
    const mine = await read();
    const theirs = await read(other);
    assert.deepEqual(mine.rows.map(keyOf), ['a', 'a', 'a']);
    assert.equal(await advance(mine, 2), true);
    assert.equal(await advance(theirs, 3), false);
    assert.equal((await read()).rows.length, 1);
  },
  'is moved by the owner of the lane and by nobody else, wherever it stands': async ({ one, other, advance, read, park, parkedList }) => {
    await publish(one, 'a', 'a');
    const zombie = new Holder(other, RELAY_SCOPE);
    assert.equal(await advance(await read(), 1, { holder: zombie }), false);
    assert.equal(await advance(await read(), 1, { parked: [park((await read()).rows[0]?.id as bigint)], holder: zombie }), false);
    assert.deepEqual(await parkedList(), []);
    assert.equal(await advance(await read(), 1), true);
  },
  'reads some of every lane, however full the others are': async ({ one, ALL }) => {
    const keys = Array.from({ length: 40 }, (_, n) => `key ${n}`);
    for (let i = 0; i < 5; i += 1) await publish(one, ...keys);
    const batches = await one.store.relay.read(ALL, { rows: 3, bytes: MUCH });
    assert.deepEqual(
      batches.map(({ lane, rows }) => [lane, rows.length]),
      ALL.map((lane) => [lane, 3]),
    );
  },
  'reads no more bytes of a lane than asked for, and one row however large it is': async ({ one, ALL, advance }) => {
    const publishSized = (key: string, sizes: readonly number[]) =>
      inTransaction(one, (tx) =>
        one.store.log.append(
          tx,
          sizes.map((size) => rowOf(key, { attributes: '{}', body: Buffer.alloc(size) })),
        ),
      );
    await publishSized('a', [3000, 98, 98, 98, 3000, 98]);
    const turns: number[][] = [];
    for (;;) {
      const [batch] = await one.store.relay.read(ALL, { rows: 100, bytes: 200 });
      if (batch === undefined) break;
      turns.push(batch.rows.map(({ body }) => body.byteLength));
      await advance(batch, batch.rows.length);
    }
    assert.deepEqual(turns, [[3000], [98, 98], [98], [3000], [98]]);
  },
  'gives no more bytes of parked messages than asked for, and one however large it is': async ({ one, ALL, advance, park, owner }) => {
    const sizes = { a: 3000, b: 98, c: 98, d: 98 };
    for (const [key, size] of Object.entries(sizes))
      await inTransaction(one, (tx) => one.store.log.append(tx, [rowOf(key, { attributes: '{}', body: Buffer.alloc(size) })]));
    for (const batch of await one.store.relay.read(ALL, ENOUGH))
      await advance(batch, batch.rows.length, { parked: batch.rows.map(({ id }) => park(id)) });
    const turns: number[][] = [];
    for (;;) {
      const batches = await one.store.parked.due(ALL, { rows: 100, bytes: 200 });
      if (batches.length === 0) break;
      turns.push(batches.flatMap(({ rows }) => rows.map(({ body }) => body.byteLength)));
      for (const { lane, life, rows } of batches)
        await one.store.parked.resent({ lane, life }, { sent: rows.map(({ id }) => id), failed: [], ownerToken: owner.tokenOf(lane) });
    }
    for (const turn of turns) assert.ok(turn.length === 1 || turn.reduce((sum, size) => sum + size + 2, 0) <= 200);
    assert.deepEqual(turns.flat().sort(), [3000, 98, 98, 98]);
  },
  'is not moved, and parks nothing, by what was read from another life of the server': async ({
    one,
    read,
    advance,
    park,
    due,
    owner,
    parkedList,
  }) => {
    await publish(one, 'a');
    const batch = await read();
    const id = batch.rows[0]?.id as bigint;
    const before = { ...batch, life: 'another' };
    assert.equal(await advance(before, 1), false);
    assert.equal(await advance(before, 1, { parked: [park(id)] }), false);
    assert.equal(await advance(batch, 1, { parked: [park(id)] }), true);
    const rows = await due();
    const resent = { sent: rows.map((row) => row.id), failed: [], ownerToken: owner.tokenOf(batch.lane) };
    assert.equal(await one.store.parked.resent({ lane: batch.lane, life: 'another' }, resent), false);
    assert.equal((await parkedList()).length, 1);
  },
  'gives the first of every due key before the second of any': async ({ one, ALL, park, advance }) => {
    for (const key of ['a', 'b', 'c', 'd']) await publish(one, key, key, key, key, key);
    for (const batch of await one.store.relay.read(ALL, ENOUGH)) {
      const seen = new Set<string>();
      const parked = batch.rows.map((row) => {
        const isFirst = !seen.has(keyOf(row));
        seen.add(keyOf(row));
        return park(row.id, isFirst ? 'rejected' : 'behind');
      });
      await advance(batch, batch.rows.length, { parked });
    }
    const keys = async (rows: number) =>
      (await one.store.parked.due(ALL, { rows, bytes: MUCH })).flatMap(({ rows }) => rows.map(keyOf)).sort();
    assert.deepEqual(await keys(4), ['a', 'b', 'c', 'd']);
    assert.deepEqual(await keys(8), ['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd']);
  },
  'reads the lanes it is asked for': async ({ one, ALL, laneOf }) => {
    await publish(one, 'a');
    const others = ALL.filter((lane) => lane !== laneOf('a'));
    assert.deepEqual(await one.store.relay.read(others, ENOUGH), []);
    assert.equal((await one.store.relay.read([laneOf('a')], ENOUGH)).length, 1);
  },
  'parks in the commit that moves it on, and tells of later rows that they are behind their key': async ({
    one,
    read,
    advance,
    park,
    parkedList,
    laneOf,
  }) => {
    await publish(one, 'a', 'a', 'a');
    const batch = await read();
    const [first, second] = batch.rows.map(({ id }) => id) as [bigint, bigint];
    assert.equal(await advance(batch, 2, { parked: [park(first), park(second, 'behind')] }), true);
    assert.deepEqual(
      (await read()).rows.map(({ isBehindParked }) => isBehindParked),
      [true],
    );
    assert.deepEqual(
      (await parkedList()).map(({ reason, error, attempts, lane, message }) => [reason, error, attempts, lane, message.key]),
      [
        ['rejected', 'why', 0, laneOf('a'), 'a'],
        ['behind', 'why', 0, laneOf('a'), 'a'],
      ],
    );
    assertFields(await one.store.log.stats(), { parked: 2, backlog: 1 });
  },
  'keeps what is parked when the log is trimmed': async ({ one, read, advance, park, due }) => {
    await publish(one, 'a');
    const batch = await read();
    await advance(batch, 1, { parked: [park(batch.rows[0]?.id as bigint)] });
    assert.equal(await one.store.upkeep.trim(0), 1);
    assert.deepEqual((await due()).map(keyOf), ['a']);
  },
  'gives what is due with what waits behind it, and after it was sent nothing of it': async ({
    one,
    read,
    advance,
    park,
    due,
    owner,
    parkedList,
  }) => {
    await publish(one, 'a', 'a', 'a');
    const batch = await read();
    const ids = batch.rows.map(({ id }) => id) as [bigint, bigint, bigint];
    await advance(batch, 3, { parked: [park(ids[0]), park(ids[1], 'behind'), park(ids[2], 'behind')] });
    const rows = await due();
    assert.equal(rows.length, 3);
    const ownerToken = owner.tokenOf(batch.lane);
    const failed = [{ id: rows[1]?.id as bigint, reason: 'rejected', error: 'again', delayMs: LONG_MS } as const];
    assert.equal(await one.store.parked.resent(batch, { sent: [rows[0]?.id as bigint], failed, ownerToken: randomUUID() }), false);
    assert.equal((await parkedList()).length, 3);
    assert.equal(await one.store.parked.resent(batch, { sent: [rows[0]?.id as bigint], failed, ownerToken }), true);
    assert.deepEqual(
      (await parkedList()).map(({ reason, error, attempts }) => [reason, error, attempts]),
      [
        ['rejected', 'again', 1],
        ['behind', 'why', 0],
      ],
    );
    assert.deepEqual(await due(), []);
  },
  'lets an operator send parked messages now, or give them up so that what waits behind them goes': async ({
    one,
    read,
    advance,
    park,
    due,
    parkedList,
  }) => {
    await publish(one, 'a', 'a');
    const batch = await read();
    const ids = batch.rows.map(({ id }) => id) as [bigint, bigint];
    await advance(batch, 2, { parked: [park(ids[0], 'rejected', LONG_MS), park(ids[1], 'behind')] });
    assert.deepEqual(await due(), []);
    assert.equal(await one.store.parked.resume({ key: 'a' }, BY), 2);
    assert.equal((await due()).length, 2);
    const [head] = await parkedList();
    assert.equal(await one.store.parked.discard(head?.id as string, { ...BY, reason: 'wrong' }), 1);
    assert.deepEqual(
      (await due()).map(({ place }) => place),
      [`${batch.lane}/${ids[1]}`],
    );
    assert.equal(await one.store.parked.discard({ key: 'b' }, { ...BY, reason: 'wrong' }), 0);
  },
  'lists parked messages by page and by filter': async ({ one, read, advance, park }) => {
    await publish(one, 'a', 'a', 'a');
    const batch = await read();
    await advance(batch, 3, { parked: batch.rows.map(({ id }) => park(id, id === batch.rows[0]?.id ? 'unroutable' : 'behind')) });
    const { items, next } = await one.store.parked.list({ limit: 2 });
    assert.equal(items.length, 2);
    assert.equal((await one.store.parked.list({ limit: 2, cursor: next })).items.length, 1);
    assert.equal((await one.store.parked.list({ reason: 'unroutable' })).items.length, 1);
    assert.deepEqual((await one.store.parked.list({ until: new Date(0) })).items, []);
  },
});

/** Leases, the relay's places and parked messages, as every store must keep them. */
export const RELAY_FACTS: readonly StoreFact[] = [...OF_LEASES, ...OF_THE_RELAY];
