import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import type { Refusal } from '../reply/answer.js';
import type { SagaFailure } from './saga-definition.js';
import type { SagaParking, SagaProgress, SagaWait, StepAt } from './saga-progress.js';

/** What happened to a saga. */
export type SagaEvent =
  /** The method of the step, or of its compensation, returned, and it is done. */
  | { readonly kind: 'done'; readonly step: string }
  /** It returned, and is done when one of these came. */
  | { readonly kind: 'waits'; readonly step: string; readonly waits: readonly SagaWait[] }
  | { readonly kind: 'failed'; readonly step: string; readonly error: unknown }
  /** Too many processes have died with it. */
  | { readonly kind: 'given-up'; readonly step: string; readonly error: unknown }
  /** A reply to a request. */
  | { readonly kind: 'answered'; readonly id: string; readonly value: unknown }
  /** The request will not be handled. `isDefinite`: and certainly was not; else it may have been done in part. */
  | { readonly kind: 'refused'; readonly id: string; readonly error: unknown; readonly isDefinite: boolean }
  | { readonly kind: 'signalled'; readonly type: string; readonly key: string; readonly value: unknown }
  /** A child has ended. */
  | { readonly kind: 'ended'; readonly id: string; readonly state: unknown; readonly failure: SagaFailure | undefined }
  /** The business key is its own from now on. */
  | { readonly kind: 'unlocked' }
  /** Time has passed: what waited until now waits no longer. */
  | { readonly kind: 'time' }
  /** The time of the whole saga is over. */
  | { readonly kind: 'timed-out'; readonly error: unknown }
  /** It cannot be worked on: the definition is not the one it was started with, or its state cannot be read. */
  | { readonly kind: 'stuck'; readonly error: unknown }
  | { readonly kind: 'resumed' | 'retried' }
  /** `error`: why it cannot be. */
  | { readonly kind: 'skipped'; readonly error?: unknown }
  | { readonly kind: 'cancelled'; readonly error: unknown };

/** What comes for an instance from elsewhere, as it is stored: JSON. */
export type SagaArrival =
  | { readonly kind: 'answered'; readonly id: string; readonly value?: unknown }
  | { readonly kind: 'refused'; readonly id: string; readonly refusal: Refusal }
  | { readonly kind: 'signalled'; readonly type: string; readonly key: string; readonly value?: unknown }
  | { readonly kind: 'ended'; readonly id: string; readonly state?: unknown; readonly failure?: SagaFailure | undefined }
  | { readonly kind: 'unlocked' }
  /** The saga that has started it turns back, or a person wants it undone. */
  | { readonly kind: 'cancelled'; readonly by: string; readonly reason: string }
  | RepairArrival;

/** A person who has not its definition at hand lets a saga go on. */
export interface RepairArrival {
  readonly kind: 'resumed' | 'retried' | 'skipped';
  readonly by: string;
  readonly reason?: string | undefined;
  /** What it is about: it is for nothing else. Undefined: whatever it finds, as a command of an earlier version leaves it. */
  readonly about?: SagaParking | undefined;
}

/** What is to be done next. */
export type SagaCommand =
  | { readonly do: 'run'; readonly step: string; readonly afterMs: number }
  | { readonly do: 'undo'; readonly step: string; readonly compensation: string; readonly afterMs: number }
  /** A child is to turn back; it tells when it has ended. */
  | { readonly do: 'cancel'; readonly id: string }
  | { readonly do: 'end'; readonly status: 'completed' | 'compensated' }
  | { readonly do: 'park'; readonly failure: SagaFailure };

/** One line of a saga's history. */
export interface SagaNote {
  readonly step: string | undefined;
  readonly event: SagaNoteEvent;
  /** What was thrown, or waited for. */
  readonly detail: string | undefined;
}

/** What a line of a saga's history tells. */
export type SagaNoteEvent =
  | 'started'
  | 'left-out'
  | 'waiting'
  | 'done'
  | 'failed'
  | 'undone'
  | 'undo-failed'
  | 'turned-back'
  | 'parked'
  | 'resumed'
  | 'retried'
  | 'skipped'
  | 'completed'
  | 'compensated';

/** What an event leads to. */
export interface SagaDecision {
  readonly progress: SagaProgress;
  /** What the event begins; none when it changes nothing. */
  readonly commands: readonly SagaCommand[];
  readonly notes: readonly SagaNote[];
  /** Fields of the state that the event brought. */
  readonly set: Readonly<Record<string, unknown>>;
}

/** An event, and what it happens to. */
export interface SagaMoment {
  /** Of the instance: errors name it; default `(unnamed)`. */
  readonly id?: string;
  readonly progress: SagaProgress;
  readonly event: SagaEvent;
  /** What conditions look at; default: empty. */
  readonly state?: object;
  /** Milliseconds on the clock that the moments in the progress are of; default 0. */
  readonly nowMs?: number;
}

/** What a failure is told as. */
export function failureAt(entry: Pick<StepAt, 'step'> | undefined, error: unknown): SagaFailure {
  return { step: entry?.step ?? '', code: classify(error).code, message: describeFailure(error).message };
}
