import { Client } from 'pg';
import { openStore } from '../log/support/open-store.js';
import { borrowTestDatabase, createStoreDatabase, createTestDatabase, embeddedServer, servers } from './index.js';

const COLUMNS = `select table_name, column_name, data_type, column_default, is_nullable from information_schema.columns where table_schema = 'public' order by 1, 2`;
const INDEXES = `select indexname, indexdef from pg_indexes where schemaname = 'public' order by 1`;
const SEQUENCES = `select sequencename, start_value, last_value, cache_size from pg_sequences where schemaname = 'public' order by 1`;

describe.each(servers())('createTestDatabase on $name', (server) => {
  it('makes an empty database and removes it with connections still open', async () => {
    const database = await createTestDatabase(server);
    const client = new Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query('SELECT current_database() AS name');
    expect(rows).toEqual([{ name: database.name }]);

    await database.drop();

    const again = new Client({ connectionString: database.url });
    await expect(again.connect()).rejects.toThrow('does not exist');
    await client.end().catch(() => undefined);
  });

  it('gives every caller its own database', async () => {
    const both = await Promise.all([createTestDatabase(server), createTestDatabase(server)]);
    expect(both[0].name).not.toBe(both[1].name);
    await Promise.all(both.map((database) => database.drop()));
  });

  it('lends one after the other, empty and with nobody connected', async () => {
    const first = await borrowTestDatabase(server);
    const client = new Client({ connectionString: first.url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('create table left_over (); create schema other; create sequence other.left_over');
    await client.query(`alter database "${first.name}" set work_mem = '1MB'; begin; lock table left_over`);
    await first.drop();
    const second = await borrowTestDatabase(server);
    // Where a new one is cheap, it is one.
    expect(second.name === first.name).toBe(!server.isEmbedded);
    await expect(client.query('select 1')).rejects.toThrow();
    const again = new Client({ connectionString: second.url });
    await again.connect();
    const { rows } = await again.query(
      `select to_regclass('left_over') as a, to_regclass('other.left_over') as b, current_setting('work_mem') = '1MB' as c`,
    );
    expect(rows).toEqual([{ a: null, b: null, c: false }]);
    await again.end();
    await second.drop();
  });
});

describe('createStoreDatabase', () => {
  it('has the tables that the migration makes, with so many lanes and nothing in them, for each caller its own', async () => {
    const [empty, ...made] = await Promise.all([createTestDatabase(), createStoreDatabase(3), createStoreDatabase(3)]);
    const stores = await Promise.all([empty, ...made].map(({ url }) => openStore(url, { lanes: 3, migrate: false })));
    try {
      const [migrated, ...copied] = stores as [(typeof stores)[number], ...typeof stores];
      const { wanted } = await migrated.store.schema.migrate();
      for (const { store, query } of copied) {
        expect(await store.schema.status()).toEqual({ found: wanted, wanted });
        for (const look of [COLUMNS, INDEXES, SEQUENCES, 'select l::text as lane from holdfast_lane l order by 1'])
          expect(await query(look)).toEqual(await migrated.query(look));
      }
      await copied[0]?.query('drop table holdfast_outbox');
      await copied[1]?.query('select from holdfast_outbox');
    } finally {
      await Promise.all(stores.map((store) => store.close()));
      await Promise.all([empty, ...made].map((database) => database.drop()));
    }
  });

  it('is empty where a copy is no quicker, for whoever starts on it to make them', async () => {
    const place = { ...embeddedServer(), isEmbedded: false };
    const database = await createStoreDatabase(3, place);
    const store = await openStore(database.url, { lanes: 3, migrate: false });
    expect(await store.store.schema.status()).toMatchObject({ found: 0 });
    await store.close();
    await database.drop();
  });
});
