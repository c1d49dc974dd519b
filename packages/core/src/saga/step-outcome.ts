import type { Command } from '../message/message.js';
import type { SagaBuilder } from './saga-builder.js';

/** What a step has asked for: done by the engine once the step has returned it, with its commit. */
export type AskedFor =
  | { readonly kind: 'request'; readonly command: Command<unknown>; readonly options: SagaRequestOptions<string> }
  | { readonly kind: 'signal'; readonly type: string; readonly key: string; readonly into: string | undefined; readonly forMs: number }
  | {
      readonly kind: 'saga';
      readonly saga: SagaBuilder<never> | (abstract new (...args: never[]) => object);
      readonly state: object;
      readonly into: string | undefined;
    }
  | { readonly kind: 'time'; readonly until: { readonly afterMs: number } | { readonly at: Date } };

/** Options of `saga.request`. */
export interface SagaRequestOptions<Field extends string> {
  /** Field of the state that takes the reply; default: it is not kept. */
  into?: Field;
  /** Ordering key; default: none. */
  key?: string;
  /** Overrides the destination of the class. */
  destination?: string;
  /**
   * True for a participant that is not Holdfast, and runs a command that arrives after its undoing: the saga then waits for its answer and parks
   * without one, instead of undoing what may still come; default false.
   */
  foreign?: boolean;
}

let construct: (asked: readonly AskedFor[]) => StepOutcome;
let read: (outcome: StepOutcome) => readonly AskedFor[];

/**
 * What a step returns to be continued later; made by `saga.request`, `saga.sleep`, `saga.waitFor`, `saga.start` and `saga.firstOf`, and lost with
 * HF_SAGA_OUTCOME_DROPPED if not returned.
 */
export class StepOutcome {
  readonly #asked: readonly AskedFor[];

  private constructor(asked: readonly AskedFor[]) {
    this.#asked = asked;
  }

  static {
    construct = (asked) => new StepOutcome(asked);
    read = (outcome) => outcome.#asked;
  }
}

/** Makes an outcome; for the engine. */
export function outcomeOf(...asked: readonly AskedFor[]): StepOutcome {
  return construct(asked);
}

/** What an outcome asks for. */
export function askedBy(outcome: StepOutcome): readonly AskedFor[] {
  return read(outcome);
}
