import { randomUUID } from 'node:crypto';
import { borrowTestDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { subscribe } from '@holdfast/core';
import { type LaneScene, openScene, takeAndCommit } from './support/lane-scene.js';
import { rowOf } from './support/messages.js';
import { type OpenStore, openStore, TYPE } from './support/open-store.js';
import { isSequenceBehind } from './support/writers.js';

/** Tables in the order in which their rows may be written; sequences have no rows. */
const TABLES = ['meta', 'lane', 'outbox', 'scheduled', 'subscription', 'cursor', 'inbox', 'delivery', 'node', 'audit'];

describe.each(servers())('the numbers of a lane on $name', (server) => {
  const databases: TestDatabase[] = [];
  const stores: OpenStore[] = [];
  let scene: LaneScene;

  async function makeDatabase(): Promise<TestDatabase> {
    const database = await borrowTestDatabase(server);
    databases.push(database);
    return database;
  }

  async function open(url: string, migrate = true): Promise<OpenStore> {
    const one = await openStore(url, { lanes: 1, migrate });
    stores.push(one);
    return one;
  }

  beforeEach(async () => {
    scene = await openScene((await makeDatabase()).url);
  });

  afterEach(async () => {
    await Promise.all([scene, ...stores.splice(0)].map((one) => one.close()));
    await Promise.all(databases.splice(0).map((one) => one.drop()));
  });

  /** Publishes through another process's store. */
  async function publishBy({ store }: OpenStore, key: string): Promise<void> {
    const tx = await store.transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false });
    try {
      await store.log.append(tx, [rowOf({ id: randomUUID(), key, n: 1 })]);
    } catch (error) {
      await tx.rollback();
      throw error;
    }
    await tx.commit();
  }

  /** Rows that were read, and are trimmed: their ids could be used again without anybody noticing. */
  async function setBack(): Promise<void> {
    await scene.query('delete from holdfast_outbox');
    await scene.query(`select setval('holdfast_lane_0', 5)`);
  }

  async function fill(count: number): Promise<void> {
    await scene.publish(...Array.from({ length: count }, (_, i) => `old ${i}`));
    expect(await scene.take(1000)).toHaveLength(count);
  }

  it('doom a unit that is given one again, and are right after the next look', async () => {
    await fill(20);
    await setBack();
    const error = await publishBy(scene, 'unseen').catch((thrown: unknown) => thrown);
    expect(isSequenceBehind(error)).toBe(true);
    expect(await scene.store.upkeep.raiseSequences()).toEqual([{ lane: 0, from: 6n, to: 20n }]);
    expect(await scene.store.upkeep.raiseSequences()).toEqual([]);
    await publishBy(scene, 'seen');
    expect(await scene.take()).toEqual(['seen']);
    expect(await scene.query('select id from holdfast_outbox where key = $1', ['unseen'])).toEqual([]);
  });

  it('are guarded also in a process that has not written to the lane before', async () => {
    await fill(20);
    const other = await open(scene.url);
    await setBack();
    const error = await publishBy(other, 'unseen').catch((thrown: unknown) => thrown);
    expect(isSequenceBehind(error)).toBe(true);
  });

  it('are refused to what was scheduled, which stays there until they are right', async () => {
    await fill(20);
    const tx = await scene.store.transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false });
    await scene.store.log.append(tx, [rowOf({ id: randomUUID(), key: 'later', n: 1 }, { due: { delayMs: 0 } })]);
    await tx.commit();
    await setBack();
    await expect(scene.store.upkeep.moveScheduled(10)).rejects.toMatchObject({ code: 'HF_STORE_SEQUENCE_BEHIND' });
    await scene.store.upkeep.raiseSequences();
    expect(await scene.store.upkeep.moveScheduled(10)).toMatchObject({ moved: 1 });
    expect(await scene.take()).toEqual(['later']);
  });

  it('are refused to half messages, which stay registered until they are right', async () => {
    await fill(20);
    const { halfMessages, transactions } = scene.store;
    const half = { transport: 'default', type: TYPE, attributes: '{}', body: Buffer.from('{"key":"half"}') };
    for (const unitId of ['told', 'asked']) {
      const server = await halfMessages.register([{ unitId, ordinal: 0, ...half }], 0);
      const tx = await transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false });
      await halfMessages.commitWith(tx, { unitId, server });
      await tx.commit();
    }
    const tell = () => halfMessages.settle({ gone: [], logged: [{ unitId: 'told', ordinal: 0 }] });
    const ask = () => halfMessages.checkBack({ limit: 10, againMs: 0 });
    await setBack();
    await expect(tell()).rejects.toMatchObject({ code: 'HF_STORE_SEQUENCE_BEHIND' });
    await expect(ask()).rejects.toMatchObject({ code: 'HF_STORE_SEQUENCE_BEHIND' });
    await scene.store.upkeep.raiseSequences();
    await tell();
    await ask();
    expect(await scene.take()).toHaveLength(2);
  });

  it('are raised by a process that starts, before it can write, and the event says so', async () => {
    await fill(20);
    await setBack();
    const raised: unknown[] = [];
    const unsubscribe = subscribe('lane:sequence-raised', (event) => raised.push(event));
    const other = await open(scene.url);
    unsubscribe();
    expect(raised).toEqual([{ lane: 0, from: 5n, to: 20n }]);
    await publishBy(other, 'seen');
    expect(await scene.take()).toEqual(['seen']);
  });

  it('are raised to what a cursor, the relay, the trimmer or the log itself has reached, whichever is highest', async () => {
    await fill(3);
    const raisedTo = async () => (await scene.store.upkeep.raiseSequences()).map(({ to }) => Number(to));
    await scene.query('update holdfast_cursor set position = 100');
    expect(await raisedTo()).toEqual([100]);
    await scene.query('update holdfast_lane set relay_position = 200');
    expect(await raisedTo()).toEqual([200]);
    await scene.query('update holdfast_lane set trimmed_to = 300');
    expect(await raisedTo()).toEqual([300]);
    await scene.query(`insert into holdfast_outbox (lane, id, type, attributes, body) values (0, 400, 't', '{}', '')`);
    expect(await raisedTo()).toEqual([400]);
    expect(await raisedTo()).toEqual([]);
  });

  it('are never lowered', async () => {
    await fill(3);
    await scene.query(`select setval('holdfast_lane_0', 1000)`);
    expect(await scene.store.upkeep.raiseSequences()).toEqual([]);
    await publishBy(scene, 'high');
    expect(await scene.query('select max(id)::int as id from holdfast_outbox')).toEqual([{ id: 1001 }]);
  });

  it('are right after a switch by logical replication, which copies rows and no sequences', async () => {
    await fill(30);
    await scene.publish('not yet read');
    const then = await makeDatabase();
    const fresh = await open(then.url, false);
    for (const statement of fresh.store.schema.sql(0).split(';\n')) if (statement.trim() !== '') await fresh.query(statement);
    await copyRows(scene, fresh);

    const process = await open(then.url, false);
    await process.store.ready();
    await publishBy(process, 'after the switch');
    const { messages } = await takeAndCommit(process, scene.subscriptionId, { limit: 100 });
    expect(messages.map(({ place }) => place)).toEqual(['0/31', '0/32']);
  });

  it('are lower again without complaint in a process that lived through a fail-over to an older state', async () => {
    await fill(10);
    // What the new primary knows: the log and its readers as they were at 4.
    await scene.query('delete from holdfast_outbox where id > 4');
    await scene.query('update holdfast_cursor set position = 4');
    await scene.query(`select setval('holdfast_lane_0', 4)`);
    expect(await scene.store.upkeep.raiseSequences()).toEqual([]);
    await publishBy(scene, 'new history');
    expect(await scene.take()).toEqual(['new history']);
  });
});

async function copyRows(from: OpenStore, to: OpenStore): Promise<void> {
  for (const table of TABLES) {
    await to.query(`delete from holdfast_${table}`);
    const rows = await from.query<{ row: string }>(`select row_to_json(t)::text as row from holdfast_${table} t`);
    const columns = `insert into holdfast_${table} overriding system value select * from json_populate_recordset(null::holdfast_${table}, $1::json)`;
    await to.query(columns, [`[${rows.map(({ row }) => row).join(',')}]`]);
  }
}
