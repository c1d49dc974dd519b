import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { fixture, runHoldfast, withClient } from './support.js';

// Each run is a process of its own.

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await withClient(database.url, (client) => client.query('create table precious (id integer)'));
});

afterAll(() => database.drop());

function run(args: readonly string[], preload: readonly string[] = []) {
  return runHoldfast(args, { DATABASE_URL: database.url }, preload);
}

describe('the DataSource file', () => {
  it.each(['named.cjs', 'default.mjs', 'initialized.mjs', 'promised.cjs', 'compiled.cjs'])('is taken as %s', async (name) => {
    const { code, out, error } = await run(['status', '-d', fixture(name)]);
    expect(error).toBe('');
    expect(out).toContain('have version 0, this version of Holdfast needs');
    expect(code).toBe(1);
  });

  it('is found from the folder the command runs in, and by HOLDFAST_DATA_SOURCE', async () => {
    const { code, out } = await runHoldfast(['status'], {
      DATABASE_URL: database.url,
      HOLDFAST_DATA_SOURCE: 'test/cli/fixtures/named.cjs',
    });
    expect(out).toContain('have version 0');
    expect(code).toBe(1);
  });

  it('may be TypeScript where a compiler is loaded, and is refused with the way out where none is', async () => {
    const compiled = await run(['status', '-d', fixture('typed.ts')], ['typescript-hook.cjs']);
    expect(compiled).toMatchObject({ code: 1, error: '' });
    const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
    if (major > 22 || (major === 22 && minor >= 18)) return; // this Node.js strips types by itself
    const plain = await run(['status', '-d', fixture('typed.ts')]);
    expect(plain.error).toContain('typed.ts could not be loaded');
    expect(plain.error).toContain('give the compiled file, or load a compiler with NODE_OPTIONS="--import tsx"');
    expect(plain.code).toBe(2);
  });

  it('does not have its options followed that change or empty the database, or print', async () => {
    const { code, out, error } = await run(['sql', '-d', fixture('careless.cjs'), '--from', '99']);
    expect([code, out]).toEqual([0, '']);
    expect(error).toMatch(/^Nothing to run from version \d+: it is the newest one, or newer\.\n$/);
    const status = await run(['status', '-d', fixture('careless.cjs')]);
    expect(status.out.trim().split('\n')).toHaveLength(1);
    const tables = await withClient(database.url, async (client) => {
      const { rows } = await client.query<{ name: string }>(
        `select table_name as name from information_schema.tables where table_schema = 'public'`,
      );
      return rows.map(({ name }) => name);
    });
    expect(tables).toEqual(['precious']);
  });
});

describe('a DataSource file that cannot be used', () => {
  it.each([
    ['missing.cjs', /^holdfast: There is no file .*\/missing\.cjs\. Give the path of the file that exports your DataSource\.\n$/],
    ['.', /^holdfast: There is no file .*fixtures\. Give the path/],
    ['none.cjs', /none\.cjs exports no DataSource\. Export it: export const dataSource = new DataSource/],
    [
      'two.cjs',
      /two\.cjs exports 2 DataSources: (orders, billing|billing, orders)\. Make a file that exports only the one with the holdfast tables\./,
    ],
    ['broken.cjs', /broken\.cjs could not be loaded: DATABASE_PASSWORD is not set\. Try it alone: node .*broken\.cjs/],
  ])('is named, with what to do: %s', async (name, message) => {
    const { code, out, error } = await run(['migrate', '-d', fixture(name)]);
    expect(error).toMatch(message);
    expect([code, out]).toEqual([2, '']);
  });

  it('is asked for when it is not given', async () => {
    const { code, error } = await run(['migrate']);
    expect(error).toBe(
      'holdfast: --data-source is missing: file that exports your TypeORM DataSource, CommonJS or ESM. Add --data-source <file>, or set HOLDFAST_DATA_SOURCE.\n',
    );
    expect(code).toBe(2);
  });

  it('is told to install the store where it is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
    try {
      writeFileSync(join(folder, 'lonely.cjs'), `exports.dataSource = { '@instanceof': Symbol.for('DataSource') };`);
      const { code, error } = await run(['status', '-d', join(folder, 'lonely.cjs')]);
      expect(error).toContain('@holdfast/typeorm is not installed where ');
      expect(error).toContain('npm install @holdfast/typeorm');
      expect(code).toBe(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is of another database', async () => {
    const { code, error } = await run(['status', '-d', fixture('mysql.cjs')]);
    expect(error).toContain('the DataSource default (mysql) cannot be the store');
    expect(error).toContain('(HF_STORE_UNSUPPORTED)');
    expect(code).toBe(1);
  });

  it('names a server that does not answer, or a database there is not', async () => {
    const silent = await runHoldfast(['status', '-d', fixture('named.cjs')], { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' });
    expect(silent.error).toMatch(/^holdfast: The DataSource of .*named\.cjs could not connect: .*ECONNREFUSED.*\. Check its address/);
    expect(silent.code).toBe(1);
    const missing = await runHoldfast(['migrate', '-d', fixture('named.cjs')], {
      DATABASE_URL: database.url.replace(database.name, 'missing'),
    });
    expect(missing.error).toMatch(/could not connect: .*does not exist/);
    expect(missing.code).toBe(1);
  });
});
