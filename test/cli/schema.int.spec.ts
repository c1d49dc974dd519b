import { createTestDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { describeSchema, fixture, runHoldfast, runUnread, withClient } from './support.js';

// Each run is a process of its own.

const FILE = fixture('named.cjs');

describe.each(servers())('the tables on $name', (server) => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase(server);
  });

  afterEach(() => database.drop());

  const run = (...args: string[]) => runHoldfast([...args, '-d', FILE], { DATABASE_URL: database.url });

  function setVersion(version: number): Promise<unknown> {
    return withClient(database.url, (client) => client.query(`update holdfast_meta set value = $1 where name = 'version'`, [version]));
  }

  it('are behind, migrated, up to date, and ahead', async () => {
    expect((await run('status')).code).toBe(1);

    const made = await run('migrate');
    expect(made.out).toMatch(
      /^The holdfast tables went from version 0 to version \d+ \(postgres \(typeorm\), database holdfast_test_.*\)\.\n( {2}version \d+: \d+ statements\n)+$/,
    );
    expect([made.code, made.error]).toEqual([0, '']);

    const good = await run('status');
    expect(good.out).toMatch(/^The holdfast tables have version \d+, the one needed \(.*\)\.\n$/);
    expect([good.code, good.error]).toEqual([0, '']);

    const again = await run('migrate');
    expect(again.out).toMatch(/^The holdfast tables have version \d+ already, nothing to do/);
    expect(again.code).toBe(0);

    await setVersion(99);
    const ahead = await run('status');
    expect(ahead.out).toMatch(/^The holdfast tables have version 99, this version of Holdfast only knows \d+\. Start a newer version/);
    expect(ahead.code).toBe(1);
    const refused = await run('migrate');
    expect(refused.error).toContain('(HF_SCHEMA_AHEAD)');
    expect([refused.code, refused.out]).toEqual([1, '']);
  });

  it('are told to be behind by the exit code also where nobody reads the output, and so is a wrong call', async () => {
    expect(await runUnread(['status', '-d', fixture('slow-to-close.cjs')], { DATABASE_URL: database.url })).toBe(1);
    expect(await runUnread(['status', '--no-such-option'], {})).toBe(2);
  });

  it('are made once by two that migrate at once', async () => {
    const outcomes = await Promise.all([run('migrate'), run('migrate'), run('migrate')]);
    expect(outcomes.map(({ code, error }) => [code, error])).toEqual([
      [0, ''],
      [0, ''],
      [0, ''],
    ]);
    expect((await run('status')).code).toBe(0);
  });

  it('are the same from the printed statements as from migrate', async () => {
    const migrated = await run('migrate', '--schema', 'migrated', '--lanes', '4');
    expect(migrated.code).toBe(0);
    const printed = await run('sql', '--schema', 'printed', '--lanes', '4');
    expect([printed.code, printed.error]).toEqual([0, '']);
    await withClient(database.url, (client) => client.query(printed.out));

    const made = await describeSchema(database.url, 'migrated');
    expect(made.split('\n').length).toBeGreaterThan(100);
    expect(await describeSchema(database.url, 'printed')).toBe(made);
    expect((await run('status', '--schema', 'printed')).code).toBe(0);
  });
});

describe('the tables', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(() => database.drop());

  const run = (...args: string[]) => runHoldfast([...args, '-d', FILE], { DATABASE_URL: database.url });

  it('keep their number of lanes, and asking for another says so', async () => {
    expect((await run('migrate', '--lanes', '4')).code).toBe(0);
    expect((await run('migrate', '--lanes', '4')).code).toBe(0);
    const other = await run('migrate', '--lanes', '8');
    expect(other.error).toContain('The tables were made with 4 lanes, asked for are 8. Leave the option out');
    expect(other.code).toBe(1);
  });

  it('are written down with no server in reach, statements only', async () => {
    const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
    const all = await runHoldfast(['sql', '-d', FILE], env);
    expect([all.code, all.error]).toEqual([0, '']);
    expect(all.out).toMatch(/^create table holdfast_meta /);
    expect(all.out).toMatch(/;\n$/);
    expect(all.out).toContain('holdfast_lane_31');
    const none = await runHoldfast(['sql', '-d', FILE, '--from', '13'], env);
    expect([none.code, none.out]).toEqual([0, '']);
    expect(none.error).toContain('Nothing to run from version 13');
  });

  it('tell that the role may not make them', async () => {
    await withClient(database.url, async (client) => {
      await client.query('revoke create on schema public from public');
      await client.query(
        `do $$ begin create role holdfast_cli_reader login; exception when duplicate_object or unique_violation then null; end $$`,
      );
    });
    const url = new URL(database.url);
    url.username = 'holdfast_cli_reader';
    const { code, error } = await runHoldfast(['migrate', '-d', FILE], { DATABASE_URL: url.href });
    expect(error).toMatch(/^holdfast: permission denied for schema public \(42501\)\.\n$/);
    expect(code).toBe(1);
  });

  it('refuse values they cannot have, before anything is connected', async () => {
    const outcomes = await Promise.all([
      run('migrate', '--schema', 'No-Name'),
      run('migrate', '--lanes', '65'),
      run('migrate', '--lanes', 'many'),
      run('sql', '--from', '-1'),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    const errors = outcomes.map(({ error }) => error);
    expect(errors[0]).toContain('schema "No-Name" is not a plain PostgreSQL name');
    expect(errors[1]).toContain('typeorm({ lanes }) is 65; use a whole number from 1 to 64');
    expect(errors[2]).toBe('holdfast: --lanes is "many". Give a whole number.\n');
    expect(errors[3]).toMatch(/^holdfast: Option '--from' argument is ambiguous/);
  });
});
