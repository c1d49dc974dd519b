import type { Random } from '../time/random.js';

/** Longest wait before the second run, in milliseconds; doubles with each further one. */
const FIRST_MS = 10;
const LONGEST_MS = 500;

/**
 * How long to wait before running a unit again: anything from nothing to a bound that grows, so that those who collided part ways.
 *
 * @param run how many runs there were, from 1
 * @source Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), full jitter
 */
export function retryDelayMs(run: number, random: Random): number {
  return random.next() * Math.min(LONGEST_MS, FIRST_MS * 2 ** (run - 1));
}
