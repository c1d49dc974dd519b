import type { Transaction } from '../unit-of-work/transaction.port.js';

/** A step of an instance, or what undoes it. */
export interface GuardedStep {
  readonly sagaId: string;
  /** Of the instance's row: another one when its id is used again. */
  readonly sagaNumber: string;
  readonly step: string;
  readonly operation: 'run' | 'undo';
}

/** What a guard row says: it is committed, with what it has left, or it never ran and never will. */
export type StepMark = 'done' | 'barred';

/** A guard row that is to be written. */
export interface NewStepGuard {
  readonly step: GuardedStep;
  readonly mark: StepMark;
  /**
   * Somebody who works on the saga no more (a frozen process, an attempt that was given up) may have the step, or what undoes it, in a transaction:
   * that one's session is ended. Once in a transaction, at its begin: what is looked at may be what was there then.
   */
  readonly mayBeHeld: boolean;
}

/** A guard row that was there before. */
export interface FoundStep {
  readonly mark: StepMark;
  readonly result: string | undefined;
}

/**
 * Guard rows of steps that run in a DataSource other than the store's: each in that DataSource, with the commit of its step, so that what is committed there
 * is known there.
 */
export interface StepGuardStore {
  /**
   * Writes a guard row in `tx`, unless there is one: then that is what comes back. Waits for another transaction that writes the same one. One that is
   * found by nobody is there with the commit of `tx`, and gone with its rollback.
   */
  enter(tx: Transaction, guard: NewStepGuard): Promise<FoundStep | undefined>;
  /** Adds to a row that `tx` has written what its step has left. */
  keep(tx: Transaction, step: GuardedStep, result: string): Promise<void>;
  /** Which of these DataSources have no table for guard rows. */
  without(dataSources: readonly string[]): Promise<readonly string[]>;
  /** Makes the table where there is none; safe on several nodes at once. */
  create(dataSources: readonly string[]): Promise<void>;
  /** Deletes rows of this service that are older, a bounded number in each DataSource; how many at the most in one. */
  trim(dataSources: readonly string[], keptMs: number, limit: number): Promise<number>;
}
