import { longestMs, type RetryPolicy } from './retry-policy.js';

/** What decides how long a message is in hand. */
export interface HoldTerms {
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  /** Messages that are handed over together. */
  readonly batchSize: number;
  /** Time-out of the transaction that the handler asks for. */
  readonly unitMs: number | undefined;
  readonly hasStore: boolean;
  /** Name of the transport, for the sentence. */
  readonly transport: string;
  /** Longest time a message may be in work; undefined: there is no limit. */
  readonly limitMs: number | undefined;
}

/**
 * Checks that a message is dealt with before the broker takes it back: with a store one attempt, of a batch one of each message, since those of a batch
 * that failed are handled one after another; without one all attempts and the waits between them.
 *
 * @returns the longest wait between two attempts, for a backoff that is a function and may say anything; `Infinity` where there is no limit
 */
export function longestWaitMs(terms: HoldTerms, problem: (text: string) => void): number {
  const { retry, timeoutMs, batchSize, unitMs = timeoutMs, hasStore, transport, limitMs } = terms;
  if (limitMs === undefined) return Number.POSITIVE_INFINITY;
  const onceMs = Math.min(timeoutMs, unitMs);
  const neededMs = hasStore ? onceMs * batchSize : longestMs(retry, timeoutMs);
  if (neededMs > limitMs) {
    const what = hasStore
      ? `timeout is ${onceMs} ms${batchSize === 1 ? '' : `, for each of ${batchSize} messages of a batch`}`
      : `without a store the message is in hand for all its attempts: ${retry.attempts} of ${timeoutMs} ms and their waits are ${neededMs} ms`;
    problem(
      `${what}, and with ${transport} a message may be in work for ${limitMs} ms; make that shorter, or raise the limit on both sides`,
    );
  }
  if (hasStore || retry.attempts === 1) return Number.POSITIVE_INFINITY;
  return Math.max(0, limitMs - retry.attempts * timeoutMs) / (retry.attempts - 1);
}
