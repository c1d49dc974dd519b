import type { SagaFailure } from './saga-definition.js';

/** What a context is made of. */
export interface SagaContextFields<State> {
  readonly id: string;
  readonly state: State;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly signal: () => AbortSignal;
  readonly failure: SagaFailure | undefined;
}

let construct: <State>(fields: SagaContextFields<State>) => SagaContext<State>;

/** What a step or a compensation works with. */
export class SagaContext<State> {
  /** The saga's id. */
  readonly id: string;
  /** The saga's own data, JSON, at most 256 KiB; changes are saved with the step's commit, and gone when the attempt fails. */
  state: State;
  /** Which attempt of this step, or of its compensation, this is, from 1. */
  readonly attempt: number;
  /** Stable over attempts, for the idempotency header of a foreign API; a step and its compensation have different ones. */
  readonly idempotencyKey: string;
  /** What made the saga turn back; set while compensating. */
  readonly failure: SagaFailure | undefined;
  private readonly makeSignal: () => AbortSignal;

  private constructor({ id, state, attempt, idempotencyKey, failure, signal }: SagaContextFields<State>) {
    this.id = id;
    this.state = state;
    this.attempt = attempt;
    this.idempotencyKey = idempotencyKey;
    this.failure = failure;
    this.makeSignal = signal;
  }

  /** Aborted at the step's time-out, and when stopping cannot wait any longer. */
  get signal(): AbortSignal {
    return this.makeSignal();
  }

  static {
    construct = (fields) => new SagaContext(fields);
  }
}

/** Makes a context; for the engine and for tests of single steps, steps are given theirs. */
export function createSagaContext<State>(fields: SagaContextFields<State>): SagaContext<State> {
  return construct(fields);
}
