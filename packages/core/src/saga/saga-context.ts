import { hfError } from '../errors/catalogue.js';
import type { HoldfastError } from '../errors/holdfast-error.js';
import { printable } from '../errors/printable.js';
import type { Command, DataOf, MessageClass } from '../message/message.js';
import { describeMessages } from '../message/message-class.js';
import { unstorable } from '../message/storable.js';
import { type Duration, toMs } from '../time/duration.js';
import type { SagaBuilder } from './saga-builder.js';
import type { SagaFailure } from './saga-definition.js';
import type { StateOf } from './saga.decorators.js';
import { type AskedFor, askedBy, outcomeOf, type SagaRequestOptions, type StepOutcome } from './step-outcome.js';

/** Characters of the key of a signal: that of a message. */
const KEY_LENGTH = 255;

/** The fields of a state that can hold a value of type V. */
export type KeysFor<State, V> = { [K in keyof State & string]-?: [V] extends [State[K]] ? K : never }[keyof State & string];

/** What a context is made of. */
export interface SagaContextFields<State> {
  readonly id: string;
  /** The name of the step that it is for: errors name it; default: `(unnamed)`. */
  readonly step?: string;
  readonly state: State;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly signal: () => AbortSignal;
  readonly failure: SagaFailure | undefined;
  /** CloudEvents types that may be waited for; default: all. */
  readonly signals?: readonly string[];
}

let construct: <State>(fields: SagaContextFields<State>) => SagaContext<State>;
let dropped: (saga: SagaContext<unknown>, returned: unknown) => boolean;

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
  private readonly signals: readonly string[] | undefined;
  private readonly step: string;
  /** Outcomes that nobody has returned, or put into another one. */
  private readonly open = new Set<StepOutcome>();

  private constructor({ id, step = '(unnamed)', state, attempt, idempotencyKey, failure, signal, signals }: SagaContextFields<State>) {
    this.id = id;
    this.step = step;
    this.state = state;
    this.attempt = attempt;
    this.idempotencyKey = idempotencyKey;
    this.failure = failure;
    this.makeSignal = signal;
    this.signals = signals;
  }

  /** Aborted at the step's time-out, and when stopping cannot wait any longer. */
  get signal(): AbortSignal {
    return this.makeSignal();
  }

  /**
   * Sends a command to another service; the step is done when the reply came, which is stored in the field `into`. When none comes within the step's
   * time-out, the attempt has failed, and the next one sends the same request again, under the same id. A refusal is final.
   *
   * **Not promised:** that the method runs once. What it writes here is committed with each request, and written again by the next attempt, and a step
   * that is refused for certain is not undone: a step that asks writes nothing else.
   */
  request<Reply>(command: Command<Reply>, options: SagaRequestOptions<KeysFor<State, Reply>> = {}): StepOutcome {
    return this.asking({ kind: 'request', command, options });
  }

  /**
   * The step is done after a time, or at a moment on the clock of the database. What it has written is committed when it begins to wait, and undone by
   * its compensation also when the saga turns back meanwhile.
   *
   * @throws HF_CONFIG_DURATION
   */
  sleep(until: Duration | Date): StepOutcome {
    return this.asking({ kind: 'time', until: until instanceof Date ? { at: until } : { afterMs: toMs(until, 'until') } });
  }

  /**
   * The step is done when a message of a class listed in `@Saga({ signals })` arrives with this key, also when it arrived earlier: one that nobody
   * waited for is kept for 30 days, the last of several. Fails with HF_SAGA_WAIT_TIMEOUT, and is not tried again then. What the step has written is
   * committed when it begins to wait, so its compensation is called also when it fails, or the saga turns back meanwhile.
   *
   * @throws HF_SAGA_SIGNAL for a class that is not listed, or a key that cannot be one
   */
  waitFor<M extends object>(
    signal: MessageClass<M>,
    { key, timeout, into }: { key: string; timeout: Duration; into?: KeysFor<State, DataOf<M>> },
  ): StepOutcome {
    const [{ type } = { type: '' }] = describeMessages(signal);
    const reason = unstorable(key, KEY_LENGTH);
    if (reason !== undefined) throw this.noSignal(type, `its key ${printable(key)} is not usable: ${reason}`);
    if (this.signals?.includes(type) === false) throw this.noSignal(type, 'it is not listed in the signals of the saga');
    return this.asking({ kind: 'signal', type, key, into, forMs: toMs(timeout, 'timeout') });
  }

  /**
   * Starts another saga of this service, with the step's commit; the step is done when it is completed, and its last state is stored in the field
   * `into`. When it was compensated, the step has failed for good. When this saga turns back meanwhile, the other one is cancelled first. The
   * compensation of the step is called also when the other one was compensated: for what the step itself has written.
   */
  start<S extends object>(
    saga: abstract new (...args: never[]) => S,
    state: StateOf<S>,
    options?: { into?: KeysFor<State, StateOf<S>> },
  ): StepOutcome;
  start<S extends object>(saga: SagaBuilder<S>, state: S, options?: { into?: KeysFor<State, S> }): StepOutcome;
  start(saga: never, state: object, { into }: { into?: string } = {}): StepOutcome {
    return this.asking({ kind: 'saga', saga, state, into });
  }

  /**
   * The step is done with the first of several that comes; of a `waitFor` that times out it fails.
   *
   * @param outcomes of `sleep` and `waitFor`
   * @throws HF_SAGA_FIRST_OF for others: a request, or a saga, that nobody waits for any more would still be done
   */
  firstOf(...outcomes: readonly StepOutcome[]): StepOutcome {
    const asked = outcomes.flatMap(askedBy);
    const other = asked.find(({ kind }) => kind === 'request' || kind === 'saga');
    if (asked.length === 0 || other !== undefined) {
      const { id, step } = this;
      throw hfError('HF_SAGA_FIRST_OF', { id, step, found: other?.kind ?? 'nothing' });
    }
    for (const outcome of outcomes) this.open.delete(outcome);
    return this.asking(...asked);
  }

  private noSignal(type: string, problem: string): HoldfastError {
    const { id, step } = this;
    return hfError('HF_SAGA_SIGNAL', { id, step, type, problem, waiting: `The step ${step} of the saga ${id}` });
  }

  private asking(...asked: readonly AskedFor[]): StepOutcome {
    const outcome = outcomeOf(...asked);
    this.open.add(outcome);
    return outcome;
  }

  static {
    construct = (fields) => new SagaContext(fields);
    dropped = ({ open }, returned) => {
      open.delete(returned as StepOutcome);
      return open.size > 0;
    };
  }
}

/** Makes a context; for the engine and for tests of single steps, steps are given theirs. */
export function createSagaContext<State>(fields: SagaContextFields<State>): SagaContext<State> {
  return construct(fields);
}

/** True when a step asked for something that it has not returned. */
export function hasDropped(saga: SagaContext<unknown>, returned: unknown): boolean {
  return dropped(saga, returned);
}
