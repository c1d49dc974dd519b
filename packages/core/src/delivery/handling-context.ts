import type { Logger } from '../monitoring/logger.js';
import type { Replies } from '../reply/replies.js';
import type { Receipts } from '../receipt/receipts.js';
import type { Store } from '../store/store.port.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { FailurePause } from './failure-pause.js';
import type { WorkInHand } from './work-in-hand.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitOptions } from '../unit-of-work/unit-of-work.js';

/** Opens units of the framework's own, in a fresh root context. */
export type RunUnit = <T>(options: UnitOptions, work: (tx: Transaction) => Promise<T>) => Promise<T>;

/** What a call of a handler needs. */
export interface HandlerCallContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  readonly replies: Replies;
  /** Told how deliveries of the subscription end. */
  readonly failures: FailurePause;
  /** Calls in work: given up, and their messages given back, when stopping has reached its deadline. */
  readonly inHand: WorkInHand;
}

/** What every part of the handling over a store uses. */
export interface HandlingContext extends HandlerCallContext {
  readonly store: Store;
  readonly receipts: Receipts;
  readonly runUnit: RunUnit;
  /** Runs `then` when the unit in scope is committed: what is told of a delivery is true by then, or is not told. */
  readonly afterCommit: (then: () => void) => void;
  /** Deliveries were stored, and committed: their due times want to be looked at. */
  readonly onStored: () => void;
}
