import { Client } from 'pg';
import { embeddedServer, type TestServer } from './servers.js';

/** An empty database of one suite. */
export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** Deletes it, cutting connections that are still open. */
  drop(): Promise<void>;
}

type Place = Pick<TestServer, 'url' | 'isEmbedded'>;

let made = 0;

/** Creates a database nobody else uses, on the embedded server unless another one is given. Drop it in `afterAll`. */
export async function createTestDatabase(server: Place = embeddedServer()): Promise<TestDatabase> {
  // The time comes first: databases of killed runs are recognised by it (find-servers.cjs).
  const name = `holdfast_test_${Date.now().toString(36)}_${process.pid}_${++made}`;
  // Half the work where nothing is flushed: by default every page goes through the log.
  await run(server.url, `CREATE DATABASE "${name}"${server.isEmbedded ? ' STRATEGY file_copy' : ''}`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => run(server.url, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`) };
}

const free = new Map<string, string[]>();

/**
 * The same for suites that want one per test: `drop` empties it, which takes a tenth of the time, and the next caller of this file gets it again.
 * Not for tests whose processes may still be connected afterwards.
 */
export async function borrowTestDatabase(server: Place = embeddedServer()): Promise<TestDatabase> {
  const names = free.get(server.url) ?? [];
  free.set(server.url, names);
  const known = names.pop();
  const url = new URL(server.url);
  const database =
    known === undefined ? await createTestDatabase(server) : { name: known, url: Object.assign(url, { pathname: `/${known}` }).href };
  return { ...database, drop: () => empty(database).then(() => void names.push(database.name)) };
}

if (typeof afterAll === 'function') {
  afterAll(async () => {
    for (const [url, names] of free) for (const name of names.splice(0)) await run(url, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
  });
}

async function empty({ url, name }: Pick<TestDatabase, 'url' | 'name'>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(
      'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    const { rows: prepared } = await client.query<{ gid: string }>('SELECT gid FROM pg_prepared_xacts WHERE database = current_database()');
    for (const { gid } of prepared) await client.query(`ROLLBACK PREPARED '${gid}'`);
    const { rows: schemas } = await client.query<{ name: string }>(
      String.raw`SELECT nspname AS name FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'`,
    );
    for (const schema of schemas) await client.query(`DROP SCHEMA "${schema.name}" CASCADE`);
    await client.query(`CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public; ALTER DATABASE "${name}" RESET ALL`);
  } finally {
    await client.end();
  }
}

async function run(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
