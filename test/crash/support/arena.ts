import { createStoreDatabase, createTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { Pool } from 'pg';

/** Longest wait for a server that is away: a recovery on a busy machine takes ten seconds and more. */
const AWAY_MS = 60_000;

const TABLES = `
  create table intent (id text primary key, message_id text not null, key text, seq int not null, kind text not null, at timestamptz not null default clock_timestamp());
  create table counter (key text primary key, n int not null) with (fillfactor = 50);
  create table effect (n bigserial primary key, subscription text not null, message_id text not null, key text, seq int, attempt int, pid int,
    at timestamptz not null default clock_timestamp());
  create table victim (message_id text primary key);
  create table parent (id int primary key);
  create table veto (parent int references parent deferrable initially deferred);
  create table purse (free int not null, frozen int not null, taken int not null);
  insert into purse values (1000000, 0, 0);
  create table spool (n bigserial primary key, subscription text not null, type text not null, attributes text not null, body bytea not null, was_taken boolean not null default false);
  create table spool_sent (n bigserial primary key, message_id text not null, key text, seq int, pid int not null, at timestamptz not null default clock_timestamp());
  create table spool_refused (message_id text primary key);
`;

/** A database with the tables of the business, and a window on it. */
export interface Arena {
  readonly url: string;
  /** Seen from outside, past the bus; waits while the server is away. */
  look<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** Makes one on the server all tests share, or in a database that is given. */
export async function openArena(url?: string): Promise<Arena> {
  return arenaIn(url === undefined ? await createTestDatabase() : { url });
}

/** The same on the shared server, with the tables of a store with so many lanes already in it. */
export async function openArenaWithStore(lanes: number): Promise<Arena> {
  return arenaIn(await createStoreDatabase(lanes));
}

async function arenaIn({ url, drop }: Pick<TestDatabase, 'url'> & Partial<TestDatabase>): Promise<Arena> {
  const pool = new Pool({ connectionString: url, max: 3 });
  // A connection that breaks while it is idle: the next look opens another one.
  pool.on('error', () => undefined);
  await pool.query(TABLES);
  return {
    url,
    look: async <Row>(sql: string, values?: unknown[]) => (await persistently(() => pool.query(sql, values))).rows as Row[],
    close: async () => {
      await pool.end();
      await drop?.();
    },
  };
}

async function persistently<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + AWAY_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const code = (error as { code?: string }).code ?? '';
      const isAway = ['ECONNREFUSED', 'ECONNRESET', '57P01', '57P02', '57P03', ''].includes(code);
      if (!isAway || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
