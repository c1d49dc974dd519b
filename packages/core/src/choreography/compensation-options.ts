import type { Delivery } from '../delivery/delivery.js';
import type { RetryOptions } from '../delivery/policies.js';
import type { Duration } from '../time/duration.js';
import type { LocalUnitOptions } from '../unit-of-work/unit-of-work.js';

/** What undoes a handler of M when the saga of its message is aborted. */
export interface CompensationOptions<M> {
  /** Called with the very message that is undone, if its handler committed, in a unit of work of its own; what it publishes belongs to the saga. */
  undo: (message: M, delivery: Delivery) => unknown;
  /** As `@Retry`; when it is used up the undo is a dead letter of the subscription `<name>.undo`, and the rest of the saga's parts here waits behind it. Default: 5 attempts. */
  retry?: number | false | RetryOptions;
  /** For one attempt; default '30s'. */
  timeout?: Duration;
  /** As `@Transactional`, of the unit of work it has in any case. */
  transactional?: true | LocalUnitOptions;
}
