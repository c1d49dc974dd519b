import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import type { Duration } from '../time/duration.js';
import type { SagaNoteEvent } from './saga-event.js';
import type { SagaStanding } from './saga-progress.js';
import type { SagaBuilder } from './saga-builder.js';
import type { SagaFailure } from './saga-definition.js';
import type { StateOf } from './saga.decorators.js';

/** How a saga ended: done, undone, or stopped for a person. */
export type SagaOutcome<State> =
  | { readonly status: 'completed'; readonly state: State }
  | { readonly status: 'compensated' | 'parked'; readonly state: State; readonly failure: SagaFailure };

/** A saga's id that remembers, for the compiler, the type of its state; assignable to string. */
export type SagaId<State> = string & { readonly '~state'?: State };

/** A saga as operators see it. */
export interface SagaInstance {
  readonly id: string;
  readonly saga: string;
  readonly version: number;
  readonly status: SagaStanding;
  /** The step that runs next, is undone next, or waits; the first of several that are at work; undefined at the end. */
  readonly step: string | undefined;
  /** Attempts made at it. */
  readonly attempts: number;
  /** What its steps wait for, as in `charge: the reply to card.charge`. */
  readonly waitsFor: readonly string[];
  /** What it is parked for; else why it turned back. */
  readonly failure: SagaFailure | undefined;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  /** Oldest first; empty in a list. Of a long one the first hundred lines and the last four hundred are kept. */
  readonly history: readonly SagaHistoryEntry[];
}

/** One line of a saga's history. */
export interface SagaHistoryEntry {
  /** Undefined for what is about the saga as a whole. */
  readonly step: string | undefined;
  readonly event: SagaNoteEvent;
  /** What was thrown, or what an operator said. */
  readonly detail: string | undefined;
  readonly at: Date;
}

/** Which sagas: every given field must match. */
export interface SagaFilter {
  /** Name. */
  saga?: string;
  status?: SagaStanding;
  /** Started at or after. */
  since?: Date;
}

/** How a start names its saga. */
export interface StartOptions {
  /** 1 to 255 characters; the same when the same thing is started again, such as the id of the order. */
  id: string;
}

/** Who has done a step by hand, and why; `step`: which one, so that no other is skipped that the saga has come to meanwhile. */
export interface SkipAction extends OperatorAction {
  step?: string;
}

/** How long to wait for the end of a saga. */
export interface ResultOptions {
  /** Default '30s'. */
  timeout?: Duration;
}

/**
 * Starts, awaits and repairs sagas; inject it by this class. `resume`, `retry`, `skip`, `cancel` and `purge` are transactions of their own, and refused inside
 * a unit (HF_SAGA_REPAIR_IN_TRANSACTION).
 *
 * **Guarantee:** a saga that was started ends completed, compensated or parked, also when processes and the database server are killed. What a step
 * writes to the database of the store, the saga's progress and the messages it publishes are one commit.
 * What a step with `dataSource` writes to that DataSource it writes once, in a commit before the saga's.
 * **Not promised:** anything about what a step does elsewhere (a foreign API, a DataSource that it does not name): that may happen once per attempt.
 */
export abstract class Sagas {
  /**
   * Starts a saga with its first state, with the commit of the unit in scope, or in a unit of its own. A second start under the same id changes
   * nothing, up to 30 days after the first one ended.
   *
   * @throws HF_SAGA_NOT_REGISTERED, HF_SAGA_ID, HF_SAGA_ID_TAKEN, HF_SAGA_STATE, HF_SAGA_STATE_TOO_LARGE, HF_SAGA_LOCKED, HF_SAGA_LOCK_KEY
   */
  abstract start<S extends object>(
    saga: abstract new (...args: never[]) => S,
    state: StateOf<S>,
    options: StartOptions,
  ): Promise<{ readonly id: SagaId<StateOf<S>>; readonly started: boolean }>;
  abstract start<State extends object>(
    saga: SagaBuilder<State>,
    state: State,
    options: StartOptions,
  ): Promise<{ readonly id: SagaId<State>; readonly started: boolean }>;
  /**
   * Waits until the saga ended, on whichever process.
   *
   * @throws HF_SAGA_RESULT_TIMEOUT, HF_SAGA_UNKNOWN, and HF_SAGA_RESULT_IN_TRANSACTION inside a unit
   */
  abstract result<State>(id: SagaId<State>, options?: ResultOptions): Promise<SagaOutcome<State>>;
  abstract result(id: string, options?: ResultOptions): Promise<SagaOutcome<unknown>>;
  /** One page of sagas of this service, the last started first. */
  abstract list(filter?: SagaFilter & Page): Promise<Paged<SagaInstance>>;
  /** One saga with its history; undefined when there is none. */
  abstract get(id: string): Promise<SagaInstance | undefined>;
  /** Lets a parked saga go on from where it stands, with fresh attempts. @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_PARKED, HF_SAGA_NOT_KEPT, HF_SAGA_CHANGED, HF_SAGA_IN_WORK */
  abstract resume(id: string, action: OperatorAction): Promise<void>;
  /** Runs the failed step or compensation of a parked saga again, once. @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_PARKED, HF_SAGA_NOT_KEPT, HF_SAGA_CHANGED, HF_SAGA_IN_WORK */
  abstract retry(id: string, action: OperatorAction): Promise<void>;
  /**
   * Takes the failed step or compensation of a parked saga as done by hand: that which it stands for at the call, or the one that `step` names; one in another DataSource never
   * happens there then. @throws HF_SAGA_STANDS_ELSEWHERE when it has come to another one, HF_SAGA_STEP_COMMITTED when it has happened there, HF_SAGA_UNKNOWN, HF_SAGA_NOT_PARKED,
   * HF_SAGA_NOT_KEPT, HF_SAGA_CHANGED, HF_SAGA_IN_WORK
   */
  abstract skip(id: string, action: SkipAction): Promise<void>;
  /**
   * Undoes a saga that goes forward, after the attempt in hand, for which it waits three seconds. @throws HF_SAGA_PAST_PIVOT when there is no way
   * back, HF_SAGA_IN_WORK, HF_SAGA_UNKNOWN, HF_SAGA_NOT_RUNNING, HF_SAGA_NOT_KEPT, HF_SAGA_CHANGED
   */
  abstract cancel(id: string, action: OperatorAction): Promise<void>;
  /** Deletes a saga that is completed or compensated, with its history; its id may be used again. @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_ENDED */
  abstract purge(id: string, action: OperatorAction): Promise<void>;
}
