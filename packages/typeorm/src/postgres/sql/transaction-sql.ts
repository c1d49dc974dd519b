import { hfError, type Savepoint, type Transaction } from '@holdfast/core';
import type { SqlRunner, Statement } from './sql.js';

/** A row as the server sends it: the text of each value. */
export type TextRow = readonly (string | null)[];

/** A statement that travels with others. */
export interface CarriedStatement extends Statement {
  /** What an error of the server is for the caller, when it is about this statement. */
  readonly refusal?: (error: unknown) => Error | undefined;
  /** Called when it is committed; not in a transaction of somebody else's. */
  readonly committed?: () => void;
}

/** A statement that is sent together with the next one. */
export interface FirstStatement extends CarriedStatement {
  /** Takes each of its rows. */
  readonly answered?: (row: TextRow) => void;
}

/** A statement that is sent together with COMMIT. */
export interface LastStatement extends CarriedStatement {
  /** Takes each of its rows, when they are committed. */
  readonly answered?: (row: TextRow) => void;
  /** Asked at the commit, by a transaction of ours; without it, it is always sent. */
  readonly isNeeded?: () => boolean;
}

/** A transaction on whose connection the stores run their own statements. */
export interface SqlTransaction extends Transaction, SqlRunner {
  /**
   * A savepoint that `isLast` is released together with COMMIT, before what goes out with that. It could be left to COMMIT, but a row that was locked before the savepoint and is
   * written behind it has two owners for the server, which has to write them down (a MultiXact) and to look them up whenever the row is read.
   */
  savepoint(options?: { readonly isLast?: boolean }): Promise<Savepoint>;
  /** Runs a statement whose rows are wanted as texts. */
  rows(statement: Statement): Promise<readonly TextRow[]>;
  /** Sends a statement together with the next one, in one round trip; refused, it keeps the next one from being run. */
  runFirst(statement: FirstStatement): Promise<void>;
  /** Sends what still waits for a next one. */
  flush(): Promise<void>;
  /** Sends a statement together with COMMIT, in one round trip. */
  runLast(statement: LastStatement): Promise<void>;
}

/** Runs what was meant to go with COMMIT before it, where somebody else sends that. */
export async function runNow(
  sql: SqlRunner,
  { answered, refusal, committed: _, isNeeded: __, ...statement }: LastStatement,
): Promise<void> {
  try {
    tellRows((await sql.run<object>(statement)).rows, answered);
  } catch (error) {
    throw refusal?.(error) ?? error;
  }
}

/** The same for what was meant to go with the next statement. */
export async function runFirstNow(sql: SqlRunner, { answered, refusal, committed: _, ...statement }: FirstStatement): Promise<void> {
  try {
    tellRows((await sql.run<object>(statement)).rows, answered);
  } catch (error) {
    throw refusal?.(error) ?? error;
  }
}

/** Tells of rows that pg has made as if they came from the server. */
export function tellRows(rows: readonly object[], told: ((row: TextRow) => void) | undefined): void {
  if (told === undefined) return;
  for (const row of rows) told(textRow(row));
}

/** A row that pg has made as if it came from the server. */
export function textRow(row: object): TextRow {
  return Object.values(row).map((value) => (value === null ? null : String(value)));
}

/** The SQL side of a transaction of this store. @throws HF_INVARIANT when it is another store's */
export function sqlOf(tx: Transaction): SqlTransaction {
  if (!('run' in tx && 'runLast' in tx))
    throw hfError('HF_INVARIANT', { fact: 'a transaction of another store reached the PostgreSQL store' });
  return tx as SqlTransaction;
}
