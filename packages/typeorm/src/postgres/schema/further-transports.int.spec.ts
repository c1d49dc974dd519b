import { borrowTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { storeTools } from '@holdfast/core';
import { DataSource } from 'typeorm';
import { typeorm } from '../../typeorm-store.js';
import { MIGRATIONS } from './migrations.js';

const ENOUGH = { rows: 100, bytes: 2 ** 20 };
const VERSION = MIGRATIONS.find(({ name }) => name === 'lanes of further transports')?.version as number;

describe('tables from before there were further transports', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  beforeEach(async () => {
    database = await borrowTestDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  });
  afterEach(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  it('are those of the default transport afterwards, with the places of the relay and what was not sent', async () => {
    const { store } = storeTools(typeorm({ dataSource, lanes: 2 }), 'shop');
    const [all, later] = [store.schema.sql(0), store.schema.sql(VERSION - 1)];
    await dataSource.query(all.slice(0, all.length - later.length));
    await dataSource.query(`insert into holdfast_outbox (lane, id, type, attributes, body)
      select 1, n, 'shop.paid', '{}', '' from generate_series(1, 5) n`);
    await dataSource.query(`select setval('holdfast_lane_1', 5)`);
    await dataSource.query(
      `update holdfast_lane set relay_position = case lane when 1 then 4 else 0 end, relay_holes = case lane when 1 then '{[2,3)}' else '{}' end::int8multirange`,
    );
    await store.open();
    await store.schema.migrate();
    await store.schema.addTransports(['events']);
    await store.ready();
    const [batch] = await store.relay.read([0, 1, 2, 3], ENOUGH);
    expect(batch).toMatchObject({ lane: 1, from: { upTo: 4n }, rows: [{ id: 2n }, { id: 5n }] });
    expect((await store.log.stats()).transports).toMatchObject([
      { transport: 'default', backlog: 1 },
      { transport: 'events', backlog: 0 },
    ]);
    await store.close();
  });
});
