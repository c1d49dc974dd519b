import { type Clock, systemClock } from '@holdfast/core';

/** The machine's clock, of which the one that measures can be moved on. */
export class ShiftedClock implements Clock {
  aheadMs = 0;

  now(): Date {
    return systemClock.now();
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.aheadMs;
  }

  aheadOfDatabaseMs(): number {
    return 0;
  }
}
