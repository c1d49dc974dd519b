import type { AsyncMethod, RetryOptions } from '../delivery/policies.js';
import { type RetryPolicy, retryPolicy } from '../delivery/retry-policy.js';
import { hfError } from '../errors/catalogue.js';
import { problemsOf } from '../errors/problems.js';
import { unstorable } from '../message/storable.js';
import { type Duration, toMs } from '../time/duration.js';
import type { BranchOperation } from './branch-decisions.js';
import type { TryBranch } from './try-branch.js';

/** Characters of a name, which is stored with every branch. */
const NAME_LENGTH = 255;
const DEFAULT_TIMEOUT: Duration = '1m';
/** Of a confirm or a cancel without `@Retry`: for about six minutes. */
const DEFAULT_RETRY: RetryOptions = { attempts: 20, backoff: { delay: '200ms', maxDelay: '1m' } };

/** A type no method has whose number of arguments is not fixed: the branch comes after them. */
export type FixedArguments<Args extends readonly unknown[]> = number extends Args['length']
  ? { 'a try takes a fixed number of arguments': never }
  : Args['length'] extends Required<Args>['length']
    ? unknown
    : { 'a try takes a fixed number of arguments': never };

/** Options of a try. */
export interface TryLimits {
  /** The calling unit must have committed by then, else the try is cancelled and the commit refused; default '1m'. A longer one lets what a dead caller holds be held longer only where its process lives on. */
  timeout?: Duration;
  /**
   * Name of the DataSource whose transaction the try, its confirm and its cancel run in; default: the store's first. Another one has no tables of Holdfast: a
   * confirm or cancel may run more than once then, a cancel also after a try that did not commit, so it has to take the branch.
   */
  dataSource?: string;
}

/** Options of `@TryConfirmCancel`. */
export interface TryConfirmCancelOptions<Confirm extends string = string, Cancel extends string = string> extends TryLimits {
  /** Name of the method that runs after the calling unit has committed. */
  confirm: Confirm;
  /** Name of the method that runs after it has ended otherwise. */
  cancel: Cancel;
  /** What its branches are stored under, to survive a new name of the class or the method; 1 to 255 characters, unique in the service; default `Class.method`. */
  name?: string;
}

/** What ends a try that is given as a function. */
export interface TryOptions<Args extends readonly unknown[], Result> extends TryLimits {
  /** Runs after the calling unit has committed. */
  confirm: (...args: [...Args, branch: TryBranch<Result>]) => void | Promise<void>;
  /** Runs after the calling unit has ended otherwise. One that does not take the branch is left out where the try was not seen to finish: its rows are gone already. */
  cancel: (...args: [...Args, branch: TryBranch<Result | undefined>]) => void | Promise<void>;
  /** Attempts of `confirm`; default 20, over about six minutes. */
  confirmRetry?: number | false | RetryOptions;
  /** Attempts of `cancel`; default 20, over about six minutes. */
  cancelRetry?: number | false | RetryOptions;
}

/** A try as it was written down. */
export interface TryDefinition<Args extends readonly unknown[] = never, Result = unknown> {
  readonly name: string;
  readonly method: (...args: Args) => Promise<Result>;
  readonly options: TryOptions<Args, Result>;
}

/** A try that can be called, confirmed and cancelled. */
export interface RunnableTry {
  readonly name: string;
  /** Arguments it takes. */
  readonly arity: number;
  readonly timeoutMs: number;
  /** Undefined: the store's own. */
  readonly dataSource: string | undefined;
  readonly runs: Readonly<Record<BranchOperation, (...args: unknown[]) => unknown>>;
  readonly retries: Readonly<Record<BranchOperation, RetryPolicy>>;
  /** Its cancel takes the branch, so it can tell a try that was not seen to finish. */
  readonly cancelsHalfDone: boolean;
}

/**
 * Describes a try without decorators; `holdfast.tryConfirmCancel()` makes it the function to call inside units of work.
 *
 * @param name durable, 1 to 255 characters, unique in the service
 * @param method the try: its arguments, of a fixed number, and its result are kept as JSON
 */
export function defineTry<Args extends readonly unknown[], Result>(
  name: string,
  method: ((...args: Args) => Promise<Result>) & FixedArguments<Args>,
  options: TryOptions<Args, Result>,
): TryDefinition<Args, Result> {
  return { name, method, options };
}

/**
 * Checks a definition.
 *
 * @param problem takes one sentence per thing that is wrong
 */
export function runnableTry(
  { name, method, options }: TryDefinition,
  problem: (text: string) => void,
  dataSources: readonly string[],
): RunnableTry {
  const wrong = (text: string) => problem(hfError('HF_TCC_DEFINITION', { method: name, problem: text }).message);
  const arity = (method as AsyncMethod).length;
  const { confirm, cancel, timeout = DEFAULT_TIMEOUT, dataSource, confirmRetry, cancelRetry } = options;
  const reason = unstorable(name, NAME_LENGTH);
  if (reason !== undefined) wrong(`its name is not usable: ${reason}`);
  for (const [what, ending] of Object.entries({ confirm, cancel })) {
    if (typeof ending !== 'function') wrong(`its ${what} is no function`);
    else if (ending.length !== arity && ending.length !== arity + 1)
      wrong(
        `it declares ${arity} parameters and its ${what} ${ending.length}; declare all of the try's, and the branch after them where it is used`,
      );
  }
  const isElsewhere = dataSource !== undefined && dataSource !== dataSources[0];
  const cancelsHalfDone = cancel?.length === arity + 1;
  if (isElsewhere && !dataSources.includes(dataSource)) wrong(hfError('HF_UOW_DATA_SOURCE', { dataSource, known: dataSources }).message);
  if (isElsewhere && !cancelsHalfDone)
    wrong(
      `its DataSource ${dataSource} has no tables of Holdfast, so nobody knows there whether the try was committed: let its cancel take the branch, and look for what there is to undo`,
    );
  return {
    name,
    arity,
    timeoutMs: milliseconds(timeout, wrong),
    dataSource: isElsewhere ? dataSource : undefined,
    runs: { confirm: confirm as RunnableTry['runs']['confirm'], cancel: cancel as RunnableTry['runs']['cancel'] },
    retries: {
      confirm: retryPolicy(confirmRetry ?? DEFAULT_RETRY, wrong, 'the retries of its confirm'),
      cancel: retryPolicy(cancelRetry ?? DEFAULT_RETRY, wrong, 'the retries of its cancel'),
    },
    cancelsHalfDone,
  };
}

function milliseconds(timeout: Duration, wrong: (text: string) => void): number {
  try {
    return toMs(timeout, 'timeout');
  } catch (error) {
    for (const each of problemsOf(error)) wrong(each);
    return 0;
  }
}
