import { storeTools } from '@holdfast/core';
import { borrowTestDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { DataSource, type DataSourceOptions, type QueryRunner } from 'typeorm';
import { describeSchema } from '../../../../test/cli/support.js';
import { MIGRATIONS, SCHEMA_VERSION } from '../postgres/schema/migrations.js';
import { typeorm } from '../typeorm-store.js';
import { holdfastMigrations, holdfastStepGuards } from './holdfast-migrations.js';

// A migration that fails is printed whatever `logging` says.
const SILENT = { logQuery() {}, logQueryError() {}, logQuerySlow() {}, logSchemaBuild() {}, logMigration() {}, log() {} };
const UP_TO_DATE = { found: SCHEMA_VERSION, wanted: SCHEMA_VERSION };

/** What each step is called in TypeORM's table. */
const namesOf = (schema?: string) =>
  MIGRATIONS.map(({ version }) => `HoldfastVersion${version}_${schema === undefined ? '' : `${schema}_`}${1767225600000 + version}`);

class AddBefore1700000000000 {
  up = (runner: QueryRunner) => runner.query('create table before (id integer)');
  down = (runner: QueryRunner) => runner.query('drop table before');
}

class AddAfter1800000000000 {
  up = (runner: QueryRunner) => runner.query('create table after (id integer)');
  down = (runner: QueryRunner) => runner.query('drop table after');
}

class Fail1900000000000 {
  up = (runner: QueryRunner) => runner.query('create table broken (id no_such_type)');
  down = async () => undefined;
}

describe.each(servers())('holdfastMigrations on $name', (server) => {
  let database: TestDatabase;
  let open: DataSource[];

  beforeEach(async () => {
    database = await borrowTestDatabase(server);
    open = [];
  });

  afterEach(async () => {
    await Promise.all(open.map((dataSource) => dataSource.destroy()));
    await database.drop();
  });

  async function connect(options: Partial<DataSourceOptions> = {}): Promise<DataSource> {
    const dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      migrations: holdfastMigrations(),
      logger: SILENT,
      ...options,
    } as DataSourceOptions);
    open.push(dataSource);
    return dataSource.initialize();
  }

  const schemaOf = (dataSource: DataSource, schema?: string) =>
    storeTools(typeorm({ dataSource, schema, lanes: 4 }), 'orders').store.schema;

  const recorded = async (dataSource: DataSource) =>
    (await dataSource.query('select name from migrations order by id')).map(({ name }: { name: string }) => name);

  it.each(['all', 'each', 'none'] as const)('make the tables in transaction mode %s, once', async (transaction) => {
    const dataSource = await connect();
    const done = await dataSource.runMigrations({ transaction });
    expect(done.map(({ name }) => name)).toEqual(namesOf());
    expect(done[0]?.timestamp).toBe(1767225600001);
    expect(await schemaOf(dataSource).status()).toEqual(UP_TO_DATE);
    expect(await dataSource.runMigrations({ transaction })).toEqual([]);
  });

  it('make the same tables as the store does', async () => {
    const dataSource = await connect({ migrations: holdfastMigrations({ schema: 'by_runner', lanes: 4 }) });
    await dataSource.runMigrations();
    await schemaOf(dataSource, 'by_store').migrate();
    expect(await describeSchema(database.url, 'by_runner')).toBe(await describeSchema(database.url, 'by_store'));
  });

  it('run with the connection, in order among migrations of the application', async () => {
    const migrations = [AddAfter1800000000000, ...holdfastMigrations(), AddBefore1700000000000];
    const dataSource = await connect({ migrations, migrationsRun: true });
    expect(await recorded(dataSource)).toEqual(['AddBefore1700000000000', ...namesOf(), 'AddAfter1800000000000']);
    expect(await schemaOf(dataSource).status()).toEqual(UP_TO_DATE);
  });

  it.each([
    ['all', 0],
    ['each', SCHEMA_VERSION],
    ['none', SCHEMA_VERSION],
  ] as const)('are rolled back together with what fails in the same transaction: mode %s', async (transaction, found) => {
    const dataSource = await connect({ migrations: [...holdfastMigrations(), Fail1900000000000] });
    await expect(dataSource.runMigrations({ transaction })).rejects.toThrow('no_such_type');
    expect(await schemaOf(dataSource).status()).toEqual({ found, wanted: SCHEMA_VERSION });
  });

  it.each(['all', 'each', 'none'] as const)('leave nothing half made when they fail, in mode %s', async (transaction) => {
    const dataSource = await connect();
    await dataSource.query('create table holdfast_node (id integer)'); // late in the order of the statements
    await expect(dataSource.runMigrations({ transaction })).rejects.toThrow('"holdfast_node" already exists');
    const tables = await dataSource.query(`select table_name as name from information_schema.tables where table_name like 'holdfast%'`);
    expect(tables).toEqual([{ name: 'holdfast_node' }]);
  });

  it('leave tables alone that are there already', async () => {
    const dataSource = await connect({ migrations: holdfastMigrations({ schema: 'bus', lanes: 8 }) });
    await schemaOf(dataSource, 'bus').migrate();
    const before = await describeSchema(database.url, 'bus');
    await dataSource.runMigrations();
    expect(await recorded(dataSource)).toEqual(namesOf('bus'));
    expect(await describeSchema(database.url, 'bus')).toBe(before);
  });

  it('of steps in another DataSource make one table, in a schema of its own where it is said, and leave one that is there', async () => {
    const dataSource = await connect({ migrations: [...holdfastStepGuards(), ...holdfastStepGuards({ schema: 'bus' })] });
    expect((await dataSource.runMigrations({ transaction: 'none' })).map(({ name }) => name)).toEqual([
      'HoldfastStepGuards_1767225600000',
      'HoldfastStepGuards_bus_1767225600000',
    ]);
    await dataSource.query('delete from migrations');
    await dataSource.runMigrations();
    expect(
      await dataSource.query(`select table_schema, table_name from information_schema.tables where table_name like 'holdfast%' order by 1`),
    ).toEqual([
      { table_schema: 'bus', table_name: 'holdfast_step_guard' },
      { table_schema: 'public', table_name: 'holdfast_step_guard' },
    ]);
  });

  it('wait for one another, and for the migration of the store', async () => {
    const dataSource = await connect();
    const [Version1] = holdfastMigrations();
    if (!Version1) throw new Error('no migration');
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    await new Version1().up(runner);
    let isMade = false;
    const second = dataSource.createQueryRunner();
    const all = Promise.all([schemaOf(dataSource).migrate(), new Version1().up(second)]).finally(() => {
      isMade = true;
    });
    // Both are seen to wait for the lock, on the server.
    for (let waiting = 0; waiting < 2; ) {
      const [row] = await runner.query(
        `select count(*)::int as waiting from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`,
      );
      waiting = row.waiting;
    }
    expect(isMade).toBe(false);
    await runner.commitTransaction();
    await runner.release();
    await all;
    await second.release();
    expect(await schemaOf(dataSource).status()).toEqual(UP_TO_DATE);
  });

  it('refuse to be reverted, and can be taken from the list and run again', async () => {
    const dataSource = await connect();
    await dataSource.runMigrations();
    await expect(dataSource.undoLastMigration()).rejects.toMatchObject({
      code: 'HF_SCHEMA_IRREVERSIBLE',
      message: expect.stringMatching(new RegExp(`^${namesOf().at(-1)} cannot be reverted: .* typeorm migration:revert --fake`)),
    });
    expect(await recorded(dataSource)).toEqual(namesOf());
    await dataSource.undoLastMigration({ fake: true });
    expect(await recorded(dataSource)).toEqual(namesOf().slice(0, -1));
    expect(await schemaOf(dataSource).status()).toEqual(UP_TO_DATE);
    await dataSource.runMigrations();
    expect(await recorded(dataSource)).toEqual(namesOf());
  });

  it('are told apart by their schema', async () => {
    const dataSource = await connect({ migrations: [...holdfastMigrations({ schema: 'one' }), ...holdfastMigrations({ schema: 'two' })] });
    await dataSource.runMigrations();
    expect((await recorded(dataSource)).sort()).toEqual([...namesOf('one'), ...namesOf('two')].sort());
    expect(await schemaOf(dataSource, 'one').status()).toEqual(UP_TO_DATE);
    expect(await schemaOf(dataSource, 'two').status()).toEqual(UP_TO_DATE);
  });
});

it('refuses a schema and lanes that cannot be', () => {
  expect(() => holdfastMigrations({ schema: 'No-Name' })).toThrow('schema "No-Name" is not a plain PostgreSQL name');
  expect(() => holdfastMigrations({ lanes: 65 })).toThrow('holdfastMigrations({ lanes }) is 65');
});
