import { hfError } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { byTransport } from './outbox/by-lane.js';
import type { PostgresContext } from './context.js';
import type { SqlPool } from './sql/sql.js';

/** Multiranges, which hold what a reader has not seen, came with 14. */
const OLDEST_SERVER = 140_000;

/** @throws HF_STORE_UNSUPPORTED, HF_STORE_NOT_PRIMARY */
export async function assertServer(pool: SqlPool, dataSource: DataSource): Promise<void> {
  const { rows } = await pool.run<{ version: string; standby: boolean }>({
    text: `select current_setting('server_version_num') as version, pg_is_in_recovery() as standby`,
  });
  const [server] = rows;
  if (Number(server?.version) < OLDEST_SERVER) {
    throw hfError('HF_STORE_UNSUPPORTED', {
      database: `PostgreSQL ${server?.version}`,
      reason: 'the log needs multiranges, which came with PostgreSQL 14',
    });
  }
  // The options have no name of the database when they have an address.
  const { database = dataSource.options.database ?? 'default' } = dataSource.driver;
  if (server?.standby) throw hfError('HF_STORE_NOT_PRIMARY', { dataSource: String(database) });
}

/** The number of lanes is fixed by the first migration, for each transport, and those of one follow each other; a sequence that is missing or caches numbers would break the order of ids. @throws HF_STORE_SEQUENCE_LOCK */
export async function assertLanes({ pool, tables, lanes, firstLanes }: PostgresContext): Promise<void> {
  const { rows } = await pool.run<{ lane: number; transport: string; cache: string | null }>({
    text: `select l.lane, l.transport, s.seqcache as cache from ${tables.lane} l left join pg_sequence s on s.seqrelid = to_regclass('${tables.lane}_' || l.lane) order by l.lane`,
  });
  for (const [transport, own] of byTransport(rows)) {
    if (own.length !== lanes) throw hfError('HF_STORE_LANES_DIFFER', { found: own.length, wanted: lanes });
    firstLanes.set(transport, (own[0] as { lane: number }).lane);
  }
  const wrong = rows.find(({ cache }) => Number(cache) !== 1);
  if (wrong === undefined) return;
  const reason =
    wrong.cache === null
      ? 'its sequence is missing'
      : `its sequence caches ${wrong.cache} numbers, so ids would not be drawn in order; use CACHE 1`;
  throw hfError('HF_STORE_SEQUENCE_LOCK', { reason: `lane ${wrong.lane}: ${reason}` });
}

/**
 * Tries on this very server what the fence rests on: that drawing a number locks the sequence until the transaction ends, and that the lock can be seen.
 *
 * @throws HF_STORE_SEQUENCE_LOCK
 */
export async function assertSequenceLock({ pool, tables }: PostgresContext): Promise<void> {
  const isSeen = await pool.transaction(async (sql) => {
    await sql.run({ text: 'select nextval($1::regclass)', values: [tables.probe] });
    const { rows } = await sql.run<{ seen: boolean }>({
      text: `select exists (select from pg_locks where locktype = 'relation' and relation = $1::regclass and mode = 'RowExclusiveLock' and granted
               and pid = pg_backend_pid() and virtualtransaction is not null) as seen`,
      values: [tables.probe],
    });
    return rows[0]?.seen === true;
  });
  if (!isSeen)
    throw hfError('HF_STORE_SEQUENCE_LOCK', {
      reason:
        'a transaction that had drawn a number was not seen to lock the sequence, so rolled-back messages could not be told from slow ones',
    });
}
