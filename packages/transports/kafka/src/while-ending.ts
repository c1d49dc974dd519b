import type { Clock } from '@holdfast/core';
import type { WaitingParts } from './base-driver.js';
import { isStillEnding } from './refusal.js';

/** Between two tries; doubles. */
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 200;

/** What is waited with. */
export interface EndingParts extends WaitingParts {
  readonly clock: Clock;
  /** Nobody waits for the answer any more, and asking would open connections that nobody closes. */
  readonly isOver?: () => boolean;
}

/** Asks again while a transaction is being ended, for about as long as a request may take. */
export async function whileEnding<T>({ scheduler, clock, settings, isOver }: EndingParts, ask: () => Promise<T>): Promise<T> {
  const endMs = clock.monotonicMs() + settings.requestTimeoutMs;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs)) {
    try {
      return await ask();
    } catch (error) {
      if (!isStillEnding(error) || clock.monotonicMs() > endMs) throw error;
      await scheduler.sleep(waitMs);
      if (isOver?.()) throw error;
    }
  }
}
