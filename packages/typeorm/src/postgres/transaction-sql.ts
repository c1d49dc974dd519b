import { hfError, type Transaction } from '@holdfast/core';
import type { SqlRunner } from './sql.js';

/** A transaction on whose connection the stores run their own statements. */
export interface SqlTransaction extends Transaction, SqlRunner {
  /** Sends `sql` (literals only) together with COMMIT, in one round trip. */
  runLast(sql: string): Promise<void>;
}

/** The SQL side of a transaction of this store. @throws HF_INVARIANT when it is another store's */
export function sqlOf(tx: Transaction): SqlTransaction {
  if (!('run' in tx && 'runLast' in tx))
    throw hfError('HF_INVARIANT', { fact: 'a transaction of another store reached the PostgreSQL store' });
  return tx as SqlTransaction;
}
