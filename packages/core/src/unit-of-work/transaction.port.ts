import type { Isolation } from './unit-of-work.js';

/** How a transaction is opened. */
export interface BeginOptions {
  /** Name of the data source. */
  readonly dataSource: string;
  readonly isolation: Isolation | undefined;
  readonly readOnly: boolean;
}

/** One savepoint, ended exactly once. */
export interface Savepoint {
  /** Keeps what was done since. */
  release(): Promise<void>;
  /** Undoes what was done since; the transaction goes on. */
  rollback(): Promise<void>;
}

/**
 * One open database transaction on a connection of its own. The engine calls it; user code reaches the same connection through the ORM.
 *
 * After `commit` or `rollback` has settled the connection is back in its pool (or destroyed) and every further call is an error.
 */
export interface Transaction {
  readonly dataSource: string;
  /**
   * True once its connection was destroyed from our side instead of being rolled back: its session may still be there, with its locks, when `abort` or
   * `rollback` has resolved. Missing where that cannot be.
   */
  readonly isCutOff?: boolean;
  /**
   * Commits. Resolves only when the server answered COMMIT.
   *
   * @throws HF_UOW_COMMIT_UNKNOWN when the connection ended before the answer; any other error means that it is rolled back:
   * HF_UOW_ROLLBACK_ONLY when the server had given the transaction up, a deferred constraint, a serialization failure
   */
  commit(): Promise<void>;
  /** Rolls back; never throws: a connection that cannot roll back is destroyed, which rolls back too. */
  rollback(): Promise<void>;
  savepoint(): Promise<Savepoint>;
  /**
   * Ends the transaction from outside, also while a statement runs: later statements throw `reason`. Resolves when it is rolled back, or after a
   * short while with the connection destroyed; never rejects. During COMMIT the connection is destroyed, and `commit` tells the outcome.
   */
  abort(reason: Error): Promise<void>;
}

/** A transaction somebody else opened, lent to a unit: its `commit` and `rollback` throw HF_UOW_NOT_OWNED. */
export interface AdoptedTransaction extends Transaction {
  /** Takes our hands off it: from now on it is as it was before. */
  letGo(): void;
}

/** The transactions of a store. */
export interface TransactionPort {
  /** Names of the data sources that take part, the default first. */
  readonly dataSources: readonly [string, ...string[]];
  /** Opens a transaction on a fresh connection, outside any unit in scope. */
  begin(options: BeginOptions): Promise<Transaction>;
  /** Wraps a transaction the user opened; commit and rollback stay his. @throws HF_UOW_JOIN_HANDLE when it is no open transaction of this store, or is lent already */
  adopt(handle: object): AdoptedTransaction;
  /** True for an error after which running the same work again may succeed: serialization failure, deadlock. */
  isSerializationFailure(error: unknown): boolean;
}
