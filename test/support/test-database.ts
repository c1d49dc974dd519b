import { Client, Pool, type PoolClient } from 'pg';
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
  return createdFrom('template1', server);
}

/**
 * The same with the tables of a store in it, as its migration makes them with so many lanes, where that is quicker than to make them: whoever starts on it migrates all the same,
 * and finds it done. Not for tests of that.
 */
export async function createStoreDatabase(lanes: number, server: Place = embeddedServer()): Promise<TestDatabase> {
  return server.isEmbedded ? createdFrom(await templateOf(lanes, server), server) : borrowTestDatabase(server);
}

async function createdFrom(template: string, server: Place): Promise<TestDatabase> {
  // The time comes first: databases of killed runs are recognised by it (find-servers.cjs).
  const name = `holdfast_test_${Date.now().toString(36)}_${process.pid}_${++made}`;
  // A small part of the work where nothing is flushed: by default every page goes through the log.
  await run(server, `CREATE DATABASE "${name}" TEMPLATE "${template}"${server.isEmbedded ? ' STRATEGY file_copy' : ''}`);
  return { url: within(server, name), name, drop: () => run(server, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`) };
}

const free = new Map<string, string[]>();

/**
 * The same as `createTestDatabase` for suites that want one per test: on a server that flushes, `drop` empties it, which takes a tenth of the time, and the next caller of this file
 * gets it again. Not for tests whose processes may still be connected afterwards.
 */
export async function borrowTestDatabase(server: Place = embeddedServer()): Promise<TestDatabase> {
  if (server.isEmbedded) return createTestDatabase(server);
  const names = free.get(server.url) ?? [];
  free.set(server.url, names);
  const known = names.pop();
  const database = known === undefined ? await createTestDatabase(server) : { name: known, url: within(server, known) };
  return { ...database, drop: () => empty(database).then(() => void names.push(database.name)) };
}

if (typeof afterAll === 'function') {
  afterAll(async () => {
    for (const [url, names] of free)
      for (const name of names.splice(0)) await run({ url }, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
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

const pools = new Map<string, Pool>();

/** Connections are kept for the next statement, for a while: making one takes longer than to make a database. */
async function run({ url }: Pick<Place, 'url'>, sql: string): Promise<void> {
  await poolOf(url).query(sql);
}

function poolOf(url: string): Pool {
  const known = pools.get(url);
  if (known !== undefined) return known;
  const pool = new Pool({ connectionString: url, max: 3, idleTimeoutMillis: 2000, allowExitOnIdle: true });
  pool.on('error', () => undefined);
  pools.set(url, pool);
  return pool;
}

function within(server: Pick<Place, 'url'>, name: string): string {
  return Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
}

const templates = new Map<number, Promise<string>>();

function templateOf(lanes: number, server: Place): Promise<string> {
  const known = templates.get(lanes) ?? alone(server, (client) => madeTemplate(lanes, { server, client }));
  templates.set(lanes, known);
  known.catch(() => templates.delete(lanes));
  return known;
}

/** The first of all workers makes it; it has its name when it is complete. */
async function madeTemplate(lanes: number, { server, client }: { readonly server: Place; readonly client: PoolClient }): Promise<string> {
  const name = `holdfast_tables_${lanes}`;
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  if (rowCount !== 0) return name;
  // A file of tests that makes none does without loading it.
  const { makeTables } = await import('./store-tables.js');
  await client.query(`DROP DATABASE IF EXISTS "${name}_unfinished" WITH (FORCE)`);
  await client.query(`CREATE DATABASE "${name}_unfinished" STRATEGY file_copy`);
  await makeTables(within(server, `${name}_unfinished`), lanes);
  await client.query(`ALTER DATABASE "${name}_unfinished" RENAME TO "${name}"`);
  return name;
}

/** Any fixed number: it only has to be the same in all workers. */
const TEMPLATE_LOCK = 4_711;

/** One worker after the other. */
async function alone<T>(server: Place, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await poolOf(server.url).connect();
  try {
    await client.query(`SELECT pg_advisory_lock(${TEMPLATE_LOCK})`);
    const made = await work(client);
    await client.query(`SELECT pg_advisory_unlock(${TEMPLATE_LOCK})`);
    client.release();
    return made;
  } catch (error) {
    // Its end gives back the lock.
    client.release(true);
    throw error;
  }
}
