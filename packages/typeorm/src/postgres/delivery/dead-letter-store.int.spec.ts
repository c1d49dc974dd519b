import { armFailpoint } from '@holdfast/core';
import { createStoreDatabase, eventually, type TestDatabase } from '@holdfast-internal/test-support';
import { openStore, type OpenStore } from '../../../../../test/log/support/open-store.js';

const BY = { by: 'ada', reason: 'a test' };

describe('dead letters in PostgreSQL', () => {
  let database: TestDatabase;
  let open: OpenStore;

  beforeEach(async () => {
    database = await createStoreDatabase(8);
    open = await openStore(database.url);
    const [id] = await open.register('orders.reader');
    await open.query(
      `insert into holdfast_delivery (subscription_id, state, type, key, next_attempt_at, attributes, body)
       select $1, 'dead', 't', 'k' || n, now(), '{}', '{}' from generate_series(1, 3) n`,
      [id],
    );
  });

  afterEach(async () => {
    await open.close();
    await database.drop();
  });

  const audit = async () =>
    (await open.query<{ line: string }>(`select action || ' ' || target as line from holdfast_audit order by id`)).map(({ line }) => line);

  it('are written down by what was done, with their number, and nothing is when there was nothing to do', async () => {
    const { deadLetters } = open.store;
    const [first] = (await deadLetters.list({})).items;
    expect(await deadLetters.discard('999999', BY)).toBe(0);
    expect(await deadLetters.redrive({ key: 'nothing' }, BY)).toBe(0);
    expect(await deadLetters.discard(first?.id as string, BY)).toBe(1);
    expect(await deadLetters.discard(first?.id as string, BY)).toBe(0);
    expect(await deadLetters.redrive({ type: 't' }, BY)).toBe(2);
    expect(await deadLetters.redrive({ type: 't' }, BY)).toBe(0);
    expect(await audit()).toEqual([`discard ${first?.id}`, 'redrive {"type":"t"} (2)']);
  });

  it('of one ordered key go one after another also when two persons redrive them at once', async () => {
    await open.query(`update holdfast_subscription set ordering = 'key'`);
    await open.query(`update holdfast_delivery set key = 'k'`);
    const ids = (await open.store.deadLetters.list({})).items.map(({ id }) => id).sort();
    // None can commit before all are at work, the first of the key first.
    const stranger = open.dataSource.createQueryRunner();
    await stranger.startTransaction();
    await stranger.query('lock table holdfast_audit in exclusive mode');
    const waiting = async () =>
      (
        await open.query(
          'select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())',
        )
      ).length;
    const redriving: Promise<number>[] = [];
    for (const id of ids) {
      redriving.push(open.store.deadLetters.redrive(id, BY));
      await eventually(waiting, (count) => count === redriving.length);
    }
    await stranger.commitTransaction();
    await stranger.release();
    expect(await Promise.all(redriving)).toEqual(ids.map(() => 1));
    expect(await open.query(`select state from holdfast_delivery order by id`)).toEqual(
      ['retry', 'waiting', 'waiting'].map((state) => ({ state })),
    );
  });

  it('are not looked at once more, key by key, where keys have no order', async () => {
    const disarm = armFailpoint('dead-letter:before-free', 'throw');
    expect(await open.store.deadLetters.redrive({ type: 't' }, BY)).toBe(3);
    disarm();
  });
});
