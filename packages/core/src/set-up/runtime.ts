import { consoleLogger, type Logger } from '../monitoring/logger.js';
import { type Clock, systemClock } from '../time/clock.js';
import { type Random, systemRandom } from '../time/random.js';
import { type Scheduler, systemScheduler } from '../time/scheduler.js';

/** What the bus is made of besides its options: ports with defaults, so that a test or a framework can give its own. */
export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** What the store's `tokens` stand for, resolved by a framework. */
  readonly handles: Readonly<Record<string, unknown>>;
  /** Told of every message whose commit is known, in order; for tests. */
  readonly onCommitted: ((messages: readonly CommittedMessage[]) => void) | undefined;
}

/** A message that was committed (or confirmed), as it was given to the bus. */
export interface CommittedMessage {
  readonly message: object;
  readonly options: object;
}

/** Fills in what was not given. */
export function runtimeFrom(given: Partial<Runtime>): Runtime {
  return {
    clock: systemClock,
    random: systemRandom,
    scheduler: systemScheduler,
    logger: consoleLogger,
    handles: {},
    onCommitted: undefined,
    ...given,
  };
}
