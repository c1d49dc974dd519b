import { eventually } from './eventually.js';

/** Runs a statement; its rows. */
type Look = (sql: string, values: readonly unknown[]) => Promise<readonly { readonly n: number | string }[]>;

const SESSIONS = 'select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()';
const READS = `select (select sum(seq_tup_read) from pg_stat_user_tables where relname = $1)
  + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = $1) as n`;

/** Rows and index entries of a table that were read so far, once all other sessions of the database have ended: then they have told. */
export async function readsOf(look: Look, table: string): Promise<number> {
  await eventually(
    () => look(SESSIONS, []),
    ([row]) => Number(row?.n) === 0,
  );
  // What this session has read itself.
  await look('select 0 as n from pg_stat_force_next_flush()', []);
  return Number((await look(READS, [table]))[0]?.n);
}
