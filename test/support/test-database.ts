import { Client } from 'pg';
import { embeddedServer, type TestServer } from './servers.js';

/** An empty database of one suite. */
export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** Deletes it, cutting connections that are still open. */
  drop(): Promise<void>;
}

let made = 0;

/** Creates a database nobody else uses, on the embedded server unless another one is given. Drop it in `afterAll`. */
export async function createTestDatabase(server: Pick<TestServer, 'url'> = embeddedServer()): Promise<TestDatabase> {
  // The time comes first: databases of killed runs are recognised by it (find-servers.cjs).
  const name = `holdfast_test_${Date.now().toString(36)}_${process.pid}_${++made}`;
  await run(server.url, `CREATE DATABASE "${name}"`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => run(server.url, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`) };
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
