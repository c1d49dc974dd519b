import type { Duration } from '../time/duration.js';

/** Options of `@Step`. */
export interface StepOptions<After extends string = string, State = never> {
  /** Steps that must be done, or left out, first; default: none, so it runs at the start. Steps behind the same one run side by side. */
  after?: After | readonly After[];
  /** False leaves the step out; looks at the state only. */
  when?: (state: State) => boolean;
  /** For one attempt, of the step or of its compensation, and the reply it asked for, not for `sleep` and `waitFor`; default '30s'. */
  timeout?: Duration;
  /**
   * For the branch that begins with this step, from its first attempt: the step and all that wait for nothing but steps of the branch, with their attempts,
   * `sleep` and `waitFor`. Then the saga turns back, or parks behind the pivot, once the attempt in hand has ended; default: none.
   */
  branchTimeout?: Duration;
  /**
   * Name of the DataSource whose transaction it and its compensation run in, as listed in the options of the store; default: the store's first, whose commit is
   * the saga's too. In another one the commit comes before the saga's, behind a guard row which makes a repeat a no-op. Such a step publishes nothing,
   * returns nothing that is to be waited for, and is no pivot.
   */
  dataSource?: string;
  /** The point of no return: once it is done, later steps are retried and then parked, never undone; at most one; default false. */
  pivot?: boolean;
}
