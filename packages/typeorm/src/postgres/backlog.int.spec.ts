import { EmbeddedPostgres, readsOf } from '@holdfast-internal/test-support';
import { Client } from 'pg';
import { type OpenStore, openStore } from '../../../../test/log/support/open-store.js';

const DUE = 3000;
const LOOKS = 10;
const LIMIT = 20;
/** Entries of indexes and rows that are read for one that is taken, and then some for the look itself. */
const FEW = 12;

/** Looks for what is due in one table. */
interface Look {
  readonly table: string;
  /** So many rows that are due, and as many that are not. */
  fill(count: number): string;
  /** How many were taken. */
  look(one: OpenStore): Promise<number>;
}

const either = (count: number, due: string, sleeping: string) =>
  `from generate_series(1, ${2 * count}) n cross join lateral (select case when n % 2 = 0 then ${due} else ${sleeping} end as due_at) d`;
const times = (count: number) => either(count, `now() - n * interval '1 minute'`, `now() + interval '1 day'`);

const looks: readonly Look[] = [
  {
    table: 'holdfast_saga',
    fill: (count) =>
      `insert into holdfast_saga (service, id, saga, version, outline, status, progress, state, due_at, started_at, updated_at)
       select 'orders', n::text, 'ship', 1, 'a', 'running', '{}', '{}', d.due_at, now(), now() ${times(count)}`,
    look: async ({ store }) => (await store.sagas.claim({ versions: [{ saga: 'ship', version: 1 }], inHand: [], limit: LIMIT })).ids.length,
  },
  {
    table: 'holdfast_branch',
    fill: (count) =>
      `insert into holdfast_branch (service, id, method, arguments, status, due_at, registered_at, updated_at)
       select 'orders', n::text, 'pay', '[]', 'confirming', d.due_at, now(), now() ${times(count)}`,
    look: async ({ store }) => (await store.branches.work.claim({ methods: ['pay'], inHand: [], limit: LIMIT })).ids.length,
  },
  {
    table: 'holdfast_scheduled',
    fill: (count) =>
      `insert into holdfast_scheduled (lane, type, attributes, body, due_at) select 1, 'a', '{}', '', d.due_at ${times(count)}`,
    look: async ({ store }) => (await store.upkeep.moveScheduled(LIMIT)).moved,
  },
];

let server: EmbeddedPostgres;
let databases = 0;
let url: string;
let client: Client;

// Nobody else's: a transaction that is open anywhere on a server keeps its dead entries from being passed over.
beforeAll(async () => {
  server = await EmbeddedPostgres.start({ fsync: false });
});

beforeEach(async () => {
  url = await server.createDatabase(`looks_${++databases}`);
  await (await openStore(url, { lanes: 4 })).close();
  client = new Client({ connectionString: url });
  await client.connect();
});

afterEach(() => client.end());
afterAll(() => server.remove());

/** Rows and index entries of a table that were read so far. */
const readsSoFar = (table: string) => readsOf(async (sql, values) => (await client.query(sql, [...values])).rows, table);

describe.each(looks)('a look at what is due in $table', ({ table, fill, look }) => {
  async function readsPerRow(looks = LOOKS, limit = LIMIT): Promise<number> {
    const before = await readsSoFar(table);
    const one = await openStore(url, { lanes: 4, migrate: false });
    let taken = 0;
    for (let n = 0; n < looks; n += 1) taken += await look(one);
    await one.close();
    expect(taken).toBe(looks * limit);
    return ((await readsSoFar(table)) - before) / taken;
  }

  beforeEach(() => client.query(`alter table ${table} set (autovacuum_enabled = false)`));

  it('reads what it takes, on a table that was never analyzed', async () => {
    await client.query(fill(DUE));
    expect(await readsPerRow()).toBeLessThan(FEW);
  });

  it('reads what it takes, on a table that was analyzed while little was due', async () => {
    await client.query(fill(10));
    await client.query(`update ${table} set due_at = now() + interval '1 hour'`);
    await client.query(`analyze ${table}`);
    await client.query(`delete from ${table}`);
    await client.query(fill(DUE));
    expect(await readsPerRow()).toBeLessThan(FEW);
  });

  it('reads nothing that sleeps, where less is due than it would take', async () => {
    await client.query(fill(DUE));
    await client.query(`delete from ${table} where due_at < now() - interval '11 minutes'`);
    await client.query(`vacuum analyze ${table}`);
    expect(await readsPerRow(1, 5)).toBeLessThan(FEW);
  });
});

describe('a list of sagas that have not ended', () => {
  it('reads few of those that have, however many they are', async () => {
    const begin = `insert into holdfast_saga (service, id, saga, version, outline, status, progress, state, started_at, updated_at, ended_at) select 'orders', n::text,`;
    await client.query(
      `${begin} 'ship', 1, 'a', 'compensating', '{"at":[],"done":[],"leftOut":[]}', '{}', now(), now(), null from generate_series(1, 10) n`,
    );
    await client.query(`${begin} 'ship', 1, 'a', 'completed', '{}', '{}', now(), now(), now() from generate_series(11, 50000) n`);
    await client.query('vacuum analyze holdfast_saga');
    const before = await readsSoFar('holdfast_saga');
    const one = await openStore(url, { lanes: 4, migrate: false });
    const { items } = await one.store.sagas.operations.list({ status: 'compensating' });
    await one.close();
    expect(items).toHaveLength(10);
    expect((await readsSoFar('holdfast_saga')) - before).toBeLessThan(100);
  });
});
