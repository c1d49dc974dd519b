import type { RetryOptions } from '../delivery/policies.js';
import type { Duration } from '../time/duration.js';
import type { SagaContext } from './saga-context.js';
import type { StepResult } from './saga.decorators.js';
import { type PlannedStep, runnableFrom, type SagaCall, type SagaOptions, type SagaPlan } from './saga-plan.js';
import type { SagaDefinition } from './saga-definition.js';
import { hfError } from '../errors/catalogue.js';

/** A step, or what undoes one, as a function. */
export type SagaStepFunction<State> = (saga: SagaContext<State>) => StepResult;

/** What each step that is given as a function may have; as `@Step` and `@Retry`. */
export interface SagaStepBasics<State = never> {
  /** Steps that must be done, or left out, first; default: the one that was added before it. */
  after?: string | readonly string[];
  /** False leaves the step out; looks at the state only. */
  when?: (state: State) => boolean;
  /** For one attempt, of the step or of its compensation; default '30s'. */
  timeout?: Duration;
  /** For the branch that begins with it: the step and those that wait for nothing but steps of the branch; default: none. */
  branchTimeout?: Duration;
  /** Name of the DataSource whose transaction it and `compensate` run in, as `dataSource` of `@Step`; default: the store's first. */
  dataSource?: string;
  /** Attempts of the step; default 5. */
  retry?: number | false | RetryOptions;
}

/** Options of a step that can be undone. */
export interface UndoableStepOptions<State> extends SagaStepBasics<State> {
  /** Undoes the step, when a later one fails; default: there is nothing to undo. */
  compensate?: SagaStepFunction<State>;
  /** Attempts of `compensate`; default 5. */
  compensateRetry?: number | false | RetryOptions;
  pivot?: false;
}

/** Options of the step that is never undone. */
export interface PivotStepOptions<State = never> extends SagaStepBasics<State> {
  /** The point of no return: once it is done, later steps are retried and then parked, never undone; at most one. */
  pivot: true;
  dataSource?: never;
  compensate?: never;
  compensateRetry?: never;
}

/** Options of a step that is given as a function; a pivot has no compensation. */
export type SagaStepOptions<State> = UndoableStepOptions<State> | PivotStepOptions<State>;

/** A saga given as functions, for programs without decorators: add it with `holdfast.saga()`, start it with `holdfast.sagas.start()`. */
export class SagaBuilder<State> {
  private readonly steps: PlannedStep[] = [];

  /** @param name durable, unique in the service */
  constructor(
    readonly name: string,
    private readonly options: SagaOptions<State>,
  ) {}

  /** Adds a step, which runs when the one before it is done, or those that `after` names, which must be there already. */
  step(name: string, run: SagaStepFunction<State>, options: SagaStepOptions<State> = {}): this {
    const {
      after = this.steps.slice(-1).map((step) => step.name),
      when,
      compensate,
      timeout,
      branchTimeout,
      dataSource,
      pivot = false,
      retry,
      compensateRetry,
    } = options;
    this.steps.push({
      name,
      after: [after].flat(),
      when,
      run: run as SagaCall,
      compensation: compensate && { name: `${name}:compensate`, run: compensate as SagaCall },
      isPivot: pivot,
      timeout,
      branchTimeout,
      dataSource,
      retry,
      compensationRetry: compensateRetry,
    });
    return this;
  }

  /** What it has become so far, to be checked. */
  get plan(): SagaPlan {
    return { name: this.name, options: this.options as SagaOptions, steps: [...this.steps] };
  }

  /** The definition as a value, for `decide`. @throws HF_CONFIG_INVALID with everything that is wrong */
  get definition(): SagaDefinition {
    const problems: string[] = [];
    const { definition } = runnableFrom(this.plan, (text) => problems.push(text));
    if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
    return definition;
  }
}

/**
 * Describes a saga without decorators: `defineSaga<State>('transfer', { version: 1 }).step('debit', debit, { compensate: credit })…`
 *
 * @param name durable, 1 to 255 characters, unique in the service
 */
export function defineSaga<State extends object>(name: string, options: SagaOptions<State>): SagaBuilder<State> {
  return new SagaBuilder<State>(name, options);
}
