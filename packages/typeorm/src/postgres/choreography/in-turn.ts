import { hfError } from '@holdfast/core';
import type { SqlRunner, Statement } from '../sql/sql.js';

/** Longest wait for another transaction with the same saga: it may run a handler, and a connection is worth more than the answer. */
const WAIT_MS = 2000;
const LOCK_NOT_AVAILABLE = '55P03';

/** First of a statement that waits for a saga: the wait is bounded in that very statement, and what the business has set is put back from `b.old`. */
export const BOUNDED = `b as materialized (select current_setting('lock_timeout') as old, set_config('lock_timeout', '${WAIT_MS}', true))`;

/** Runs a statement that begins with `BOUNDED`. @throws HF_SAGA_BUSY when it has waited for too long */
export async function inTurn<Row>(sql: SqlRunner, id: string, statement: Statement): Promise<readonly Row[]> {
  try {
    return (await sql.run<Row>(statement)).rows;
  } catch (error) {
    throw (error as { code?: unknown }).code === LOCK_NOT_AVAILABLE
      ? hfError('HF_SAGA_BUSY', { id, waitMs: WAIT_MS }, { cause: error })
      : error;
  }
}
