import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { addressBy } from './counting-proxy.js';
import { EmbeddedPostgres } from './embedded-postgres.js';
import { isRunning } from './process-tree.js';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('EmbeddedPostgres', () => {
  let postgres: EmbeddedPostgres;
  const parentDirectory = mkdtempSync(join(tmpdir(), 'holdfast-parent-'));

  beforeAll(async () => {
    chmodSync(parentDirectory, 0o755);
    postgres = await EmbeddedPostgres.start({ parentDirectory });
  });

  afterAll(async () => {
    await postgres.remove();
    // Fails when anything is left in it.
    rmdirSync(parentDirectory);
  });

  it('keeps its data where it is told to', () => {
    expect(dirname(dirname(postgres.dataDirectory))).toBe(parentDirectory);
    expect(existsSync(join(postgres.dataDirectory, 'PG_VERSION'))).toBe(true);
  });

  it('is PostgreSQL 18 with prepared transactions and logical WAL', async () => {
    const [row] = await query(
      postgres.url,
      `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('max_prepared_transactions') AS prepared,
              current_setting('wal_level') AS wal, current_setting('fsync') AS fsync`,
    );
    expect(row).toEqual({ major: 18, prepared: '64', wal: 'logical', fsync: 'on' });
  });

  it('is reached by its port, and by a Unix socket where that was asked for, also after kill -9', async () => {
    const byPort = 'SELECT inet_server_port() AS port';
    expect(await query(await postgres.createDatabase('by_port'), byPort)).toEqual([{ port: postgres.port }]);
    const other = await EmbeddedPostgres.start({ hasUnixSocket: true, parentDirectory: '/tmp' });
    try {
      const url = await other.createDatabase('by_socket');
      await other.kill();
      await other.start();
      expect(await query(url, byPort)).toEqual([{ port: null }]);
      expect(await query(addressBy(url, { address: '', family: 'IPv4', port: other.port }), byPort)).toEqual([{ port: other.port }]);
    } finally {
      await other.remove();
    }
  });

  it('is reached by its port alone in a directory whose name is too long for a socket', async () => {
    const deep = mkdtempSync(join(parentDirectory, 'd'.repeat(80)));
    chmodSync(deep, 0o755);
    const other = await EmbeddedPostgres.start({ hasUnixSocket: true, parentDirectory: deep });
    try {
      expect(await query(other.url, 'SELECT inet_server_port() AS port')).toEqual([{ port: other.port }]);
    } finally {
      await other.remove();
      rmdirSync(deep);
    }
  });

  it('keeps what was committed through kill -9 of the whole server', async () => {
    const url = await postgres.createDatabase('survivor');
    await query(url, 'CREATE TABLE note (id int)');
    await query(url, 'INSERT INTO note VALUES (42)');
    const open = new Client({ connectionString: url });
    const lost = new Promise((resolve) => open.on('error', resolve));
    await open.connect();
    await open.query('BEGIN');
    await open.query('INSERT INTO note VALUES (43)');

    await postgres.kill();

    expect(postgres.pid).toBeUndefined();
    await lost;
    await expect(query(url, 'SELECT 1')).rejects.toThrow();
    await postgres.start();
    expect(await query(url, 'SELECT id FROM note')).toEqual([{ id: 42 }]);
  });

  it('keeps a prepared transaction through kill -9', async () => {
    const url = await postgres.createDatabase('prepared');
    await query(url, 'CREATE TABLE note (id int)');
    await query(url, `BEGIN; INSERT INTO note VALUES (1); PREPARE TRANSACTION 'branch-1'`);
    await postgres.kill();
    await postgres.start();
    await query(url, `COMMIT PREPARED 'branch-1'`);
    expect(await query(url, 'SELECT id FROM note')).toEqual([{ id: 1 }]);
  });

  it('keeps its data through stop and start', async () => {
    const url = await postgres.createDatabase('stopped');
    await postgres.stop();
    await postgres.start();
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is gone, with its files, after the process that started it is killed', async () => {
    const program = `const { EmbeddedPostgres } = require(${JSON.stringify(join(__dirname, '..', 'dist', 'index.js'))});
      EmbeddedPostgres.start().then((p) => { console.log(JSON.stringify([p.pid, p.dataDirectory])); setInterval(() => {}, 1000); });`;
    const owner = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve) => createInterface({ input: owner.stdout }).once('line', resolve));
    const [pid, dataDirectory] = JSON.parse(line) as [number, string];
    expect(isRunning(pid)).toBe(true);

    owner.kill('SIGKILL');

    const deadline = Date.now() + 10_000;
    while ((isRunning(pid) || existsSync(dataDirectory)) && Date.now() < deadline) await sleep(20);
    expect([isRunning(pid), existsSync(dataDirectory)]).toEqual([false, false]);
  });
});
