import type { SqlPool, Statement } from './sql/sql.js';

interface ClaimRow {
  readonly id: string | null;
  readonly wait_ms: number | null;
}

/** What a look has taken. */
export interface Claimed {
  /** The longest due first. */
  readonly ids: readonly string[];
  /** Until the next one is due that is not yet; undefined: none. */
  readonly nextDueMs: number | undefined;
}

/** Runs a look for what is due: it answers with the `id` of each that it has taken, and last with the `wait_ms` of the next one, which has no id. */
export async function claimed(pool: SqlPool, look: Statement): Promise<Claimed> {
  const { rows } = await pool.runByIndex<ClaimRow>(look);
  const wait = rows.find(({ id }) => id === null)?.wait_ms;
  const ids = rows.flatMap(({ id }) => (id === null ? [] : [id]));
  return { ids, nextDueMs: wait === null || wait === undefined ? undefined : Math.max(0, Math.ceil(wait)) };
}
