import type { Duration } from '../time/duration.js';

/** What the method does when a unit of work is, or is not, in scope; the words and their meaning are those of JTA and Spring. */
export type Propagation = 'REQUIRED' | 'REQUIRES_NEW' | 'NESTED' | 'MANDATORY' | 'SUPPORTS' | 'NOT_SUPPORTED' | 'NEVER';

/** SQL isolation; default: the database's. */
export type Isolation = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

/** Limits every kind of unit has. */
export interface UnitLimits {
  /** Ends the unit with a rollback and HF_UOW_TIMEOUT; default '30s', for all `retries` together. A longer one lets a stuck method hold its connection and its locks longer. On a method that joins it ends the whole unit, when it is the earlier one. */
  timeout?: Duration;
  /** Runs the whole method again after a serialization failure or deadlock, this many times; default 0 on services, 3 on handlers. On a method that joins no more than its unit has, else HF_UOW_RETRIES_JOINED. */
  retries?: number;
}

/** How the messages of one database transaction are kept together with its rows. */
export type LocalProtocol = 'outbox' | 'half-message';

/** All of them. */
export const LOCAL_PROTOCOLS: readonly LocalProtocol[] = ['outbox', 'half-message'];

/** One database transaction: the message rows commit with the business rows ('outbox'), or its messages are registered before and decided by its commit ('half-message'). */
export interface LocalUnitOptions extends UnitLimits {
  /**
   * How rows and messages are kept together; default 'outbox': message rows in the same transaction. 'half-message' registers the messages apart from it,
   * with the same promise, and writes no row of the outbox unless the broker does not take one at once; it keeps no order, so `key`, `delay`, `at` and `receipt` are refused.
   * On a method that joins, another one than the unit's throws HF_UOW_OPTIONS_DIFFER.
   */
  protocol?: LocalProtocol;
  /** Default 'REQUIRED'. */
  propagation?: Propagation;
  /** An option that differs from the joined unit's throws HF_UOW_OPTIONS_DIFFER. */
  isolation?: Isolation;
  /** Name of the DataSource; default: the store's first. */
  dataSource?: string;
  /** Refuses writes and publishes; default false. A method with `true` may join a writable unit, which then refuses nothing; one with `false` cannot join a read-only one. */
  readOnly?: boolean;
}

/** A Kafka transaction: what the handler publishes and the offsets it consumed commit together, in Kafka only. For handlers, which consume. */
export interface KafkaUnitOptions {
  protocol: 'kafka';
  /** Longest time from the first call of a hand-over to the commit, then it is undone with HF_UOW_TIMEOUT; default '30s', at most '15m', which is what brokers allow. */
  timeout?: Duration;
}

/** Options of `@Transactional` and `UnitOfWork.run`, told apart by `protocol`. */
export type UnitOptions = LocalUnitOptions | KafkaUnitOptions;

/** Filled in by store packages, so that `UnitOfWork.join` takes their handle and nothing else. */
// biome-ignore lint/suspicious/noEmptyInterface: store packages add their handle by declaration merging
export interface TransactionHandles {}

/**
 * The database transaction in scope; inject it by this class.
 *
 * **Guarantee:** business rows and message rows written inside one unit commit together or not at all, also when the process or the database
 * server dies at any moment. **Not promised:** to know the outcome when the connection breaks during COMMIT (HF_UOW_COMMIT_UNKNOWN).
 */
export abstract class UnitOfWork {
  /** True inside a unit of work. */
  abstract readonly isActive: boolean;
  /**
   * Runs `work` as a `@Transactional` method would. What a joined method throws dooms the unit (or the NESTED part) it joined, also when it is
   * caught further out: half of what it promised to do as a whole may be there.
   *
   * @throws HF_UOW_ROLLBACK_ONLY after a swallowed error of the database or of a joined method, HF_UOW_COMMIT_UNKNOWN when the connection broke during COMMIT,
   * HF_UOW_TIMEOUT, HF_UOW_OPTIONS_DIFFER, HF_UOW_PROPAGATION (MANDATORY without, NEVER with a unit in scope)
   */
  abstract run<T>(work: () => Promise<T>): Promise<T>;
  abstract run<T>(options: UnitOptions, work: () => Promise<T>): Promise<T>;
  /** Runs `hook` inside the unit just before COMMIT, awaited, able to fail it. @throws HF_UOW_NONE outside a unit */
  abstract beforeCommit(hook: () => void | Promise<void>): void;
  /** Runs `hook` after a commit that is known, awaited for 30 seconds at most, in no unit; an error in it is logged and changes nothing. @throws HF_UOW_NONE */
  abstract afterCommit(hook: () => void | Promise<void>): void;
  /**
   * Runs `hook` after a rollback, awaited for 30 seconds at most, in no unit; that of a NESTED part that was undone, when its unit has ended. After a time-out
   * HF_UOW_TIMEOUT does not wait for it. @throws HF_UOW_NONE outside a unit
   */
  abstract afterRollback(hook: (error: unknown) => void | Promise<void>): void;
  /** Runs `work` outside the unit in scope, now; the only way for work to outlive its unit (else HF_UOW_ENDED). For `outsideTransaction` it is a piece of work by itself. */
  abstract detached<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Makes a transaction you opened yourself the unit in scope. Message rows are written when `work` ends; you commit, so
   * `afterCommit` and `afterRollback` throw HF_UOW_NOT_OWNED, and the order promise is that of your last statement.
   */
  abstract join<T>(transaction: TransactionHandles[keyof TransactionHandles], work: () => Promise<T>): Promise<T>;
}
