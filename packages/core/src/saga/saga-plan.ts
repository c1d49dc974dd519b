import type { RetryOptions } from '../delivery/policies.js';
import { retryPolicy } from '../delivery/retry-policy.js';
import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import { problemsOf } from '../errors/problems.js';
import type { MessageClass } from '../message/message.js';
import { describeMessages } from '../message/message-class.js';
import { unstorable } from '../message/storable.js';
import { type Duration, toMs } from '../time/duration.js';
import { outlineOf, type SagaDefinition, type SagaStepDefinition } from './saga-definition.js';

/** Characters of names, which are stored with every instance and every line of its history. */
const NAME_LENGTH = 255;
const DEFAULT_STEP_TIMEOUT: Duration = '30s';

/** Options of a saga. */
export interface SagaOptions<State = never> {
  /** Positive integer; processes work on instances of the versions they have. Raise it when steps are added, removed or renamed. */
  version: number;
  /** For the whole saga, from its start: then it turns back, or parks behind the pivot; default: none. What is being undone has no such limit. */
  timeout?: Duration;
  /** Messages that `saga.waitFor` may wait for; known at the start, so that none is lost. */
  signals?: readonly MessageClass[];
  /**
   * The business key that an instance holds from its start to its end, also while it is parked, such as `account:42`: of all sagas of the service that
   * name the same one, one is at work. Looks at the first state only; 1 to 255 characters; default: none.
   */
  lock?: (state: State) => string;
  /** What a start does whose key is held: it begins when the others before it have ended, or throws HF_SAGA_LOCKED; default 'wait'. */
  whenLocked?: 'wait' | 'refuse';
}

/** Calls one method of a saga: a step, or a compensation. */
export type SagaCall = (saga: never) => unknown;

/** One step as it was written down, by decorators or by a builder. */
export interface PlannedStep {
  readonly name: string;
  readonly after: readonly string[];
  readonly when: ((state: never) => boolean) | undefined;
  readonly run: SagaCall;
  /** What undoes it, and under which name. */
  readonly compensation: { readonly name: string; readonly run: SagaCall } | undefined;
  readonly isPivot: boolean;
  readonly timeout: Duration | undefined;
  readonly branchTimeout: Duration | undefined;
  readonly dataSource: string | undefined;
  readonly retry: number | false | RetryOptions | undefined;
  readonly compensationRetry: number | false | RetryOptions | undefined;
}

/** A saga as it was written down. */
export interface SagaPlan {
  readonly name: string;
  readonly options: SagaOptions;
  readonly steps: readonly PlannedStep[];
}

/** Which business key an instance holds. */
export interface SagaLockRule {
  readonly keyOf: (state: never) => string;
  readonly whenLocked: 'wait' | 'refuse';
}

/** A saga that can be worked on: the definition as data, and what its steps do. */
export interface RunnableSaga {
  readonly definition: SagaDefinition;
  readonly outline: string;
  /** What its steps may wait for. */
  readonly signals: readonly MessageClass[];
  readonly lock: SagaLockRule | undefined;
  readonly runs: ReadonlyMap<string, SagaCall>;
  /** By the name of the step. */
  readonly compensations: ReadonlyMap<string, SagaCall>;
}

/**
 * Checks a plan.
 *
 * @param problem takes one sentence per thing that is wrong
 * @param dataSources names of those that take part, that of the store first; empty: they are not known
 */
export function runnableFrom(
  { name, options, steps }: SagaPlan,
  problem: (text: string) => void,
  dataSources: readonly string[] = [],
): RunnableSaga {
  const wrong = (text: string) => problem(hfError('HF_SAGA_DEFINITION', { saga: name, problem: text }).message);
  const duration = (value: Duration | undefined, option: string): number | undefined => {
    try {
      return value === undefined ? undefined : toMs(value, option);
    } catch (error) {
      for (const each of problemsOf(error)) wrong(each);
      return undefined;
    }
  };
  for (const text of [...problemsOfPlan({ name, options, steps }), ...problemsElsewhere(steps, dataSources)]) wrong(text);
  const definition: SagaDefinition = {
    name,
    version: options.version,
    timeoutMs: duration(options.timeout, 'timeout'),
    signals: signalsOf(options.signals ?? [], wrong),
    steps: steps.map((step): SagaStepDefinition => {
      const where = `the step ${step.name}`;
      const compensation = step.compensation?.name;
      return {
        name: step.name,
        after: step.after,
        when: step.when,
        compensation,
        isPivot: step.isPivot,
        timeoutMs: duration(step.timeout ?? DEFAULT_STEP_TIMEOUT, `${where}: timeout`) ?? 0,
        branchTimeoutMs: duration(step.branchTimeout, `${where}: branchTimeout`),
        dataSource: step.dataSource === dataSources[0] ? undefined : step.dataSource,
        retry: retryPolicy(step.retry, wrong, where),
        compensationRetry: retryPolicy(step.compensationRetry, wrong, `the compensation ${compensation ?? ''}`),
      };
    }),
  };
  const compensations = steps.flatMap(({ name: of, compensation }) =>
    compensation === undefined ? [] : [[of, compensation.run] as const],
  );
  const runs = new Map(steps.map((step) => [step.name, step.run]));
  return {
    definition,
    outline: outlineOf(definition),
    signals: options.signals ?? [],
    lock: lockOf(options),
    runs,
    compensations: new Map(compensations),
  };
}

function lockOf({ lock: keyOf, whenLocked = 'wait' }: SagaOptions): SagaLockRule | undefined {
  return keyOf && { keyOf, whenLocked };
}

function signalsOf(signals: readonly MessageClass[], wrong: (text: string) => void): readonly string[] {
  try {
    return signals.length === 0 ? [] : describeMessages(signals).map(({ type }) => type);
  } catch (error) {
    for (const each of problemsOf(error)) wrong(each);
    return [];
  }
}

function problemsOfPlan({ name, options, steps }: SagaPlan): readonly string[] {
  const problems: string[] = [];
  const reason = unstorable(name, NAME_LENGTH);
  if (reason !== undefined) problems.push(`its name is not usable: ${reason}`);
  if (!Number.isSafeInteger(options.version) || options.version < 1 || options.version >= 2 ** 31)
    problems.push(`its version is ${printable(options.version)}; use a whole number from 1`);
  const { lock, whenLocked }: { readonly lock?: unknown; readonly whenLocked?: unknown } = options;
  if (lock !== undefined && typeof lock !== 'function') problems.push(`its lock is ${printable(lock)}; give a function of the state`);
  if (whenLocked !== undefined && whenLocked !== 'wait' && whenLocked !== 'refuse')
    problems.push(`whenLocked is ${printable(whenLocked)}; use 'wait' or 'refuse'`);
  if (steps.length === 0) problems.push('it has no step');
  for (const step of steps) {
    const unusable = unstorable(step.name, NAME_LENGTH);
    if (unusable !== undefined) problems.push(`the name of a step is not usable: ${unusable}`);
  }
  const names = steps.map((step) => step.name);
  for (const twice of new Set(names.filter((each, at) => names.indexOf(each) !== at))) problems.push(`it has two steps ${twice}`);
  steps.forEach((step, at) => {
    for (const after of step.after)
      if (!names.slice(0, at).includes(after)) problems.push(`the step ${step.name} comes after ${after}, which is no step before it`);
  });
  return [...problems, ...problemsOfPivot(steps)];
}

/** A pivot elsewhere would be committed before the saga knows that there is no way back. */
function problemsElsewhere(steps: readonly PlannedStep[], dataSources: readonly string[]): readonly string[] {
  return steps.flatMap(({ name, dataSource, isPivot }) => {
    if (dataSource === undefined || dataSource === dataSources[0]) return [];
    const isKnown = dataSources.length === 0 || dataSources.includes(dataSource);
    return [
      ...(isKnown ? [] : [`the step ${name} runs in ${dataSource}, which is none of the store's DataSources: ${dataSources.join(', ')}`]),
      ...(isPivot
        ? [
            `the pivot ${name} runs in ${dataSource}, and the point of no return is a commit of the saga: put the pivot into a step before or behind it`,
          ]
        : []),
    ];
  });
}

function problemsOfPivot(steps: readonly PlannedStep[]): readonly string[] {
  const pivots = steps.filter(({ isPivot }) => isPivot);
  const [pivot] = pivots;
  if (pivot === undefined) return [];
  if (pivots.length > 1)
    return [`it has ${pivots.length} pivots, ${pivots.map(({ name }) => name).join(' and ')}; there is one point of no return`];
  const before = reachable(pivot.name, (name) => steps.find((step) => step.name === name)?.after ?? []);
  const behind = reachable(pivot.name, (name) => steps.filter(({ after }) => after.includes(name)).map((step) => step.name));
  return steps.flatMap(({ name, compensation }): readonly string[] => {
    if (name !== pivot.name && !before.has(name) && !behind.has(name))
      return [
        `the step ${name} runs beside the pivot ${pivot.name}, and nobody could say whether there is a way back: let one of them wait for the other`,
      ];
    if (compensation === undefined || before.has(name)) return [];
    return name === pivot.name
      ? [`the pivot ${name} has the compensation ${compensation.name}, and is never undone: once it is done there is no way back`]
      : [`the step ${name} comes after the pivot ${pivot.name} and has the compensation ${compensation.name}, which would never run`];
  });
}

/** All that lies that way. */
function reachable(from: string, next: (name: string) => readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const open = [...next(from)]; open.length > 0; ) {
    const name = open.pop() as string;
    if (found.has(name)) continue;
    found.add(name);
    open.push(...next(name));
  }
  return found;
}
