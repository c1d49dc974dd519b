import { createStoreDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { openStore, type OpenStore } from '../../../../../test/log/support/open-store.js';

const BY = { by: 'ada', reason: 'a test' };

describe('parked messages in PostgreSQL', () => {
  let database: TestDatabase;
  let open: OpenStore;

  beforeEach(async () => {
    database = await createStoreDatabase(8);
    open = await openStore(database.url);
    // Two keys: what is behind waits for one of another type.
    await open.query(
      `insert into holdfast_parked (lane, row_id, written_at, type, key, attributes, body, reason, next_attempt_at)
       select 1, row_id, now(), type, key, '{}', '{}', reason, case when reason <> 'behind' then now() + interval '1 hour' end
       from (values (1, 'first', 'k', 'rejected'), (2, 'x', 'k', 'behind'), (3, 'x', 'k', 'behind'), (4, 'first', 'l', 'rejected')) v(row_id, type, key, reason)`,
    );
  });

  afterEach(async () => {
    await open.close();
    await database.drop();
  });

  const due = async () =>
    (await open.store.parked.due([1], { rows: 10, bytes: 1_000_000 })).flatMap(({ rows }) => rows.map(({ type, key }) => `${type} ${key}`));
  const audit = async () =>
    (await open.query<{ line: string }>(`select action || ' ' || target as line from holdfast_audit order by id`)).map(({ line }) => line);

  it('are written down by what was done, with their number, and nothing is when there was nothing to do', async () => {
    const { parked } = open.store;
    expect(await parked.resume('999999', BY)).toBe(0);
    expect(await parked.discard({ type: 'nothing' }, BY)).toBe(0);
    expect(await parked.discard({ key: 'l' }, BY)).toBe(1);
    expect(await parked.discard({ key: 'l' }, BY)).toBe(0);
    expect(await audit()).toEqual(['discard parked {"key":"l"} (1)']);
  });

  it('that wait behind another one of their key are due with it when they are resumed', async () => {
    expect(await due()).toEqual([]);
    expect(await open.store.parked.resume({ type: 'x' }, BY)).toBe(2);
    expect(await due()).toEqual(['first k', 'x k', 'x k']);
  });
});
