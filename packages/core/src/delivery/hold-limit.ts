import { longestMs, type RetryPolicy } from './retry-policy.js';

/** What decides how long a message is in hand. */
export interface HoldTerms {
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  readonly hasStore: boolean;
  /** Name of the transport, for the sentence. */
  readonly transport: string;
  /** Longest time a message may be in work; undefined: there is no limit. */
  readonly limitMs: number | undefined;
}

/**
 * Checks that a message is dealt with before the broker takes it back: with a store one attempt, without one all attempts and the waits between them.
 *
 * @returns the longest wait between two attempts, for a backoff that is a function and may say anything; `Infinity` where there is no limit
 */
export function longestWaitMs({ retry, timeoutMs, hasStore, transport, limitMs }: HoldTerms, problem: (text: string) => void): number {
  if (limitMs === undefined) return Number.POSITIVE_INFINITY;
  const neededMs = hasStore ? timeoutMs : longestMs(retry, timeoutMs);
  if (neededMs > limitMs) {
    const what = hasStore
      ? `timeout is ${timeoutMs} ms`
      : `without a store the message is in hand for all its attempts: ${retry.attempts} of ${timeoutMs} ms and their waits are ${neededMs} ms`;
    problem(
      `${what}, and with ${transport} a message may be in work for ${limitMs} ms; make that shorter, or raise the limit on both sides`,
    );
  }
  if (hasStore || retry.attempts === 1) return Number.POSITIVE_INFINITY;
  return Math.max(0, limitMs - retry.attempts * timeoutMs) / (retry.attempts - 1);
}
