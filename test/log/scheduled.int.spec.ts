import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createStoreDatabase, eventually, type TestDatabase } from '@holdfast-internal/test-support';
import { armFailpoint, type LogRow } from '@holdfast/core';
import { type OpenStore, openStore } from './support/open-store.js';
import { rowOf } from './support/messages.js';
import { RawTransaction } from './support/raw-transaction.js';
import { begin } from './support/writers.js';

const BATCH = 500;

describe('scheduled messages', () => {
  let database: TestDatabase;
  let open: OpenStore;

  beforeEach(async () => {
    database = await createStoreDatabase(4);
    open = await openStore(database.url, { lanes: 4 });
  });

  afterEach(async () => {
    await open.close();
    await database.drop();
  });

  async function schedule(key: string, due: LogRow['due']): Promise<void> {
    const tx = await begin(open.store);
    expect(await open.store.log.append(tx, [rowOf({ id: randomUUID(), key, n: 1 }, { due })])).toEqual([]);
    await tx.commit();
  }

  /** Rows with due times spread over the last hour, in no order. */
  async function fill(count: number): Promise<void> {
    await open.query(
      `insert into holdfast_scheduled (due_at, lane, type, key, attributes, body)
       select clock_timestamp() - random() * interval '1 hour', g % 4, 'test.happened', g::text, '{}', convert_to('{}', 'utf8') from generate_series(1, $1::int) g`,
      [count],
    );
    await open.query('create table due as select key, due_at from holdfast_scheduled');
    await open.query('create index on due (key)');
    await open.query('analyze due');
  }

  const counts = async () => {
    const [row] = await open.query<{ waiting: string; moved: string; different: string }>(
      `select (select count(*) from holdfast_scheduled) as waiting, (select count(*) from holdfast_outbox) as moved,
              (select count(distinct key) from holdfast_outbox) as different`,
    );
    return { waiting: Number(row?.waiting), moved: Number(row?.moved), different: Number(row?.different) };
  };

  /** Neighbours in a lane of which the later one was due earlier. */
  const outOfOrder = async () =>
    open.query(
      `select * from (select o.lane, o.id, d.due_at, lag(d.due_at) over (partition by o.lane order by o.id) as before
         from holdfast_outbox o join due d using (key)) n where due_at < before limit 5`,
    );

  it('are due for nobody else while one process moves them', async () => {
    await schedule('now', { delayMs: 0 });
    const other = await RawTransaction.open(database.url);
    await other.client.query(`select pg_advisory_xact_lock(hashtextextended('holdfast:' || 'holdfast_scheduled', 0))`);
    expect(await open.store.upkeep.moveScheduled(BATCH)).toEqual({ moved: 0, lanes: [], nextDueMs: undefined });
    await other.rollback();
    expect(await open.store.upkeep.moveScheduled(BATCH)).toMatchObject({ moved: 1, lanes: [expect.any(Number)], nextDueMs: undefined });
  });

  it('are in the log not before their time, and then', async () => {
    await schedule('soon', { delayMs: 10_000 });
    await schedule('at', { at: new Date(Date.now() + 10_300) });
    const first = await open.store.upkeep.moveScheduled(BATCH);
    expect(first.moved).toBe(0);
    expect(first.nextDueMs).toBeGreaterThan(0);
    expect(first.nextDueMs).toBeLessThanOrEqual(10_000);
    await open.query('create table due as select key, due_at from holdfast_scheduled');
    while ((await counts()).moved < 2) {
      const { nextDueMs } = await open.store.upkeep.moveScheduled(BATCH);
      await sleep(Math.min(nextDueMs ?? 10, 50));
    }
    expect(await open.query('select key from holdfast_outbox join due using (key) where written_at < due_at')).toEqual([]);
    expect(await open.store.upkeep.moveScheduled(BATCH)).toEqual({ moved: 0, lanes: [], nextDueMs: undefined });
  });

  it('are moved in bounded batches, in the order of their due times, ten thousand at once', async () => {
    await fill(10_000);
    const moved: number[] = [];
    for (let left = true; left; ) {
      const result = await open.store.upkeep.moveScheduled(BATCH);
      moved.push(result.moved);
      left = result.nextDueMs !== undefined;
    }
    expect(moved).toEqual(Array.from({ length: 20 }, () => BATCH));
    expect(await counts()).toEqual({ waiting: 0, moved: 10_000, different: 10_000 });
    expect(await outOfOrder()).toEqual([]);
  });

  it('are moved once and in order by several movers', async () => {
    await fill(3000);
    const movers = await Promise.all([1, 2, 3].map(() => openStore(database.url, { lanes: 4, poolSize: 4 })));
    await Promise.all(
      [open, ...movers].map(async ({ store }) => {
        while ((await counts()).waiting > 0) await store.upkeep.moveScheduled(100);
      }),
    );
    expect(await counts()).toEqual({ waiting: 0, moved: 3000, different: 3000 });
    expect(await outOfOrder()).toEqual([]);
    await Promise.all(movers.map((one) => one.close()));
  });

  it('stay where they are when their mover is cut off in the middle', async () => {
    await fill(100);
    armFailpoint('scheduled:after-move', 'throw');
    await expect(open.store.upkeep.moveScheduled(BATCH)).rejects.toThrow('scheduled:after-move');
    expect(await counts()).toEqual({ waiting: 100, moved: 0, different: 0 });
    expect((await open.store.upkeep.moveScheduled(BATCH)).moved).toBe(100);
    expect(await counts()).toEqual({ waiting: 0, moved: 100, different: 100 });
  });

  it('are gone with a transaction that is rolled back', async () => {
    const tx = await begin(open.store);
    await open.store.log.append(tx, [rowOf({ id: randomUUID(), key: 'a', n: 1 }, { due: { delayMs: 0 } })]);
    await tx.rollback();
    expect(await counts()).toEqual({ waiting: 0, moved: 0, different: 0 });
  });

  it('leave the lane of their key to the key: they land where its other messages are', async () => {
    await schedule('some key', { delayMs: 0 });
    const tx = await begin(open.store);
    const [lane] = await open.store.log.append(tx, [rowOf({ id: randomUUID(), key: 'some key', n: 2 })]);
    await tx.commit();
    await sleep(5);
    await open.store.upkeep.moveScheduled(BATCH);
    expect(await open.query('select distinct lane from holdfast_outbox')).toEqual([{ lane }]);
  });

  it('and others, and replies, are durable when they are told to be committed, whatever the role says', async () => {
    for (const due of [undefined, { delayMs: 1000 }]) {
      const tx = await RawTransaction.open(database.url);
      await tx.run({ text: 'set local synchronous_commit = off' });
      await open.store.log.append(tx, [rowOf({ id: randomUUID(), key: 'a', n: 1 }, { due })]);
      expect((await tx.run({ text: 'show synchronous_commit' })).rows).toEqual([{ synchronous_commit: 'on' }]);
      await tx.commit();
    }
    const answering = await RawTransaction.open(database.url);
    await answering.run({ text: 'set local synchronous_commit = off' });
    await open.store.replies.put(answering, [{ address: 'a', attributes: '{}', body: Buffer.from('') }]);
    expect((await answering.run({ text: 'show synchronous_commit' })).rows).toEqual([{ synchronous_commit: 'on' }]);
    await answering.commit();
    const tx = await RawTransaction.open(database.url);
    await tx.run({ text: 'set local synchronous_commit = remote_apply' });
    await open.store.log.append(tx, [rowOf({ id: randomUUID(), key: 'a', n: 1 }), rowOf({ id: randomUUID(), key: 'b', n: 1 })]);
    expect((await tx.run({ text: 'show synchronous_commit' })).rows).toEqual([{ synchronous_commit: 'remote_apply' }]);
    await tx.commit();
  });

  it('are given up with their transport also while they are being moved', async () => {
    const { store } = open;
    await store.schema.addTransports(['events']);
    await store.ready();
    const tx = await begin(store);
    await store.log.append(tx, [rowOf({ id: randomUUID(), key: 'a', n: 1 }, { due: { delayMs: 0 }, transport: 'events' })]);
    await tx.commit();
    const moving = await RawTransaction.open(database.url);
    await moving.run({
      text: `with gone as (delete from holdfast_scheduled returning *) insert into holdfast_outbox (lane, id, type, key, attributes, body)
             select lane, nextval('holdfast_lane_' || lane), type, key, attributes, body from gone`,
    });
    const discarding = store.log.discard('events', { by: 'a person', reason: 'the broker is gone' });
    const waiting = () => open.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
    await eventually(waiting, ({ length }) => length > 0);
    await moving.commit();
    expect(await discarding).toBe(1);
    expect(await store.relay.read(store.log.lanesOf('events'), { rows: 10, bytes: 2 ** 20 })).toEqual([]);
  });
});
