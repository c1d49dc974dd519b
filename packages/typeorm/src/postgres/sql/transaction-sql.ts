import { hfError, type Transaction } from '@holdfast/core';
import type { SqlResult, SqlRunner, Statement } from './sql.js';

/** A statement that travels with others. */
export interface CarriedStatement extends Statement {
  /** What an error of the server is for the caller, when it is about this statement. */
  readonly refusal?: (error: unknown) => Error | undefined;
}

/** A statement that is sent together with the next one. */
export interface FirstStatement extends CarriedStatement {
  /** Takes its first row, its values as texts. */
  readonly answered?: (row: readonly (string | null)[]) => void;
}

/** A statement that is sent together with COMMIT. */
export interface LastStatement extends CarriedStatement {
  /** Takes its answer, when it is committed. */
  readonly answered?: (result: SqlResult<Record<string, unknown>>) => void;
  /** Called when it is committed. */
  readonly committed?: () => void;
}

/** A transaction on whose connection the stores run their own statements. */
export interface SqlTransaction extends Transaction, SqlRunner {
  /** Sends a statement together with the next one, in one round trip; refused, it keeps the next one from being run. */
  runFirst(statement: FirstStatement): Promise<void>;
  /** Sends what still waits for a next one. */
  flush(): Promise<void>;
  /** Sends a statement together with COMMIT, in one round trip; only the last one of them gets an answer. */
  runLast(statement: LastStatement): Promise<void>;
}

/** Runs what was meant to go with COMMIT before it, where somebody else sends that. */
export async function runNow(sql: SqlRunner, { answered, refusal, committed: _, ...statement }: LastStatement): Promise<void> {
  try {
    const result = await sql.run(statement);
    answered?.(result);
  } catch (error) {
    throw refusal?.(error) ?? error;
  }
}

/** The same for what was meant to go with the next statement. */
export async function runFirstNow(sql: SqlRunner, { answered, refusal, ...statement }: FirstStatement): Promise<void> {
  try {
    answerFirst({ answered }, (await sql.run<object>(statement)).rows);
  } catch (error) {
    throw refusal?.(error) ?? error;
  }
}

/** Tells a first statement what it was answered. */
export function answerFirst({ answered }: Pick<FirstStatement, 'answered'>, [row]: readonly object[]): void {
  if (row !== undefined) answered?.(Object.values(row).map((value) => (value === null ? null : String(value))));
}

/** The SQL side of a transaction of this store. @throws HF_INVARIANT when it is another store's */
export function sqlOf(tx: Transaction): SqlTransaction {
  if (!('run' in tx && 'runLast' in tx))
    throw hfError('HF_INVARIANT', { fact: 'a transaction of another store reached the PostgreSQL store' });
  return tx as SqlTransaction;
}
