import { hfError, type Transaction } from '@holdfast/core';
import type { SqlResult, SqlRunner, Statement } from './sql.js';

/** A statement that is sent together with COMMIT. */
export interface LastStatement extends Statement {
  /** Takes its answer, when it is committed. */
  readonly answered?: (result: SqlResult<Record<string, unknown>>) => void;
  /** What an error of the server is for the caller, when it is about this statement. */
  readonly refusal?: (error: unknown) => Error | undefined;
}

/** A transaction on whose connection the stores run their own statements. */
export interface SqlTransaction extends Transaction, SqlRunner {
  /** Sends a statement together with COMMIT, in one round trip; only the last one of them gets an answer. */
  runLast(statement: LastStatement): Promise<void>;
}

/** Runs what was meant to go with COMMIT before it, where somebody else sends that. */
export async function runNow(sql: SqlRunner, { answered, refusal, ...statement }: LastStatement): Promise<void> {
  try {
    const result = await sql.run(statement);
    answered?.(result);
  } catch (error) {
    throw refusal?.(error) ?? error;
  }
}

/** The SQL side of a transaction of this store. @throws HF_INVARIANT when it is another store's */
export function sqlOf(tx: Transaction): SqlTransaction {
  if (!('run' in tx && 'runLast' in tx))
    throw hfError('HF_INVARIANT', { fact: 'a transaction of another store reached the PostgreSQL store' });
  return tx as SqlTransaction;
}
