import { hfError, type Transaction } from '@holdfast/core';
import type { SqlRunner, Statement } from './sql.js';

/** A transaction on whose connection the stores run their own statements. */
export interface SqlTransaction extends Transaction, SqlRunner {
  /** Sends a statement that needs no answer together with COMMIT, in one round trip. */
  runLast(statement: Statement): Promise<void>;
}

/** The SQL side of a transaction of this store. @throws HF_INVARIANT when it is another store's */
export function sqlOf(tx: Transaction): SqlTransaction {
  if (!('run' in tx && 'runLast' in tx))
    throw hfError('HF_INVARIANT', { fact: 'a transaction of another store reached the PostgreSQL store' });
  return tx as SqlTransaction;
}
