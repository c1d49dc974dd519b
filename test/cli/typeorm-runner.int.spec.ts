import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { Client } from 'pg';
import { MIGRATIONS } from '../../packages/typeorm/src/postgres/schema/migrations.js';
import { fixture, runHoldfast } from './support.js';

// Each run is a process of its own.

const run = promisify(execFile);
const CLI = require.resolve('typeorm').replace(/index\.js$/, 'cli.js');

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

/** What as many further times would do, of a process each. How many there were. */
async function withoutOurs(): Promise<number> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query("delete from migrations where name like 'HoldfastVersion%'")).rowCount ?? 0;
  } finally {
    await client.end();
  }
}

/** TypeORM's own command line, over the same DataSource file. */
function typeormCli(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const file = ['-d', fixture('migrations.cjs')];
  return run(process.execPath, ['--require', join(__dirname, 'from-source.cjs'), CLI, ...args, ...file], {
    env: { ...process.env, DATABASE_URL: database.url },
  });
}

it("runs as part of the application's own migrations, with holdfast status behind before and content after", async () => {
  const status = () => runHoldfast(['status', '-d', fixture('migrations.cjs')], { DATABASE_URL: database.url });
  expect((await status()).code).toBe(1);
  const { stdout } = await typeormCli('migration:run');
  expect(stdout.indexOf('AddThing1767225600000 has been')).toBeGreaterThan(0);
  expect(stdout.indexOf('HoldfastVersion1_1767225600001 has been')).toBeGreaterThan(stdout.indexOf('AddThing1767225600000 has been'));
  expect(await status()).toMatchObject({ code: 0, error: '' });
});

it('is refused when reverted, and steps aside with --fake', async () => {
  await expect(typeormCli('migration:revert')).rejects.toMatchObject({ stderr: expect.stringContaining('cannot be reverted') });
  await typeormCli('migration:revert', '--fake');
  const left = await withoutOurs();
  expect(left).toBe(MIGRATIONS.length - 1);
  const { stdout } = await typeormCli('migration:revert');
  expect(stdout).toContain('AddThing1767225600000 has been');
  expect((await runHoldfast(['status', '-d', fixture('migrations.cjs')], { DATABASE_URL: database.url })).code).toBe(0);
});
