import { classify } from '../errors/classify.js';
import { isDroppedPromise } from '../errors/dropped-promise.js';
import { problemsOf } from '../errors/problems.js';
import { isNonRetryableError } from '../errors/non-retryable-error.js';
import { type Duration, toMs } from '../time/duration.js';
import type { Random } from '../time/random.js';
import type { Backoff, RetryOptions } from './policies.js';

const DEFAULT_ATTEMPTS = 5;
const DEFAULT_FACTOR = 2;
/** More are not added up. */
const MANY_ATTEMPTS = 10_000;
const DEFAULT_DELAY: Duration = '200ms';
const DEFAULT_MAX_DELAY: Duration = '30s';

/** Retry options, checked and with their times in milliseconds. */
export interface RetryPolicy {
  /** The first included. */
  readonly attempts: number;
  /** Wait before attempt `attempt + 1`. */
  readonly delayMs: (attempt: number, error: unknown, random: Random) => number;
  /** Longest that wait can be; undefined when a function of the user decides. */
  readonly longestDelayMs: (attempt: number) => number | undefined;
  readonly retryIf: ((error: unknown, attempt: number) => boolean) | undefined;
}

/** What a failed attempt leads to. */
export type RetryDecision = { readonly kind: 'retry'; readonly delayMs: number } | { readonly kind: 'dead' };

/** No more attempts. */
export const DEAD: RetryDecision = { kind: 'dead' };

/**
 * Reads what `@Retry` was given.
 *
 * @param where named in errors, such as the subscription
 * @param problem takes one sentence per thing that is wrong
 */
export function retryPolicy(
  options: number | false | RetryOptions | undefined,
  problem: (text: string) => void,
  where: string,
): RetryPolicy {
  const given: RetryOptions = options === false ? { attempts: 1 } : typeof options === 'number' ? { attempts: options } : (options ?? {});
  const attempts = given.attempts ?? DEFAULT_ATTEMPTS;
  if (!Number.isInteger(attempts) || attempts < 1)
    problem(`${where}: attempts is ${String(given.attempts)}; it counts the first attempt, so use a whole number from 1`);
  return { attempts, ...delaysOf(given.backoff, problem, where), retryIf: given.retryIf };
}

/** Longest time that all attempts of a policy and the waits between them can take, as far as it is known; `Infinity` when there are very many. */
export function longestMs({ attempts, longestDelayMs }: RetryPolicy, timeoutMs: number): number {
  if (attempts > MANY_ATTEMPTS) return Number.POSITIVE_INFINITY;
  let ms = attempts * timeoutMs;
  for (let attempt = 1; attempt < attempts; attempt += 1) ms += longestDelayMs(attempt) ?? 0;
  return ms;
}

/** An attempt that failed. */
export interface FailedAttempt {
  readonly error: unknown;
  /** From 1. */
  readonly attempt: number;
}

/** Decides what a failure means. Pure: the same error, attempt and random numbers give the same answer. */
export function decideRetry(policy: RetryPolicy, failed: FailedAttempt, random: Random): RetryDecision {
  return failed.attempt >= policy.attempts || !mayRetry(policy, failed) ? DEAD : laterAttempt(policy, failed, random);
}

/** The attempt behind one that failed. */
export function laterAttempt({ delayMs }: Pick<RetryPolicy, 'delayMs'>, { error, attempt }: FailedAttempt, random: Random): RetryDecision {
  return { kind: 'retry', delayMs: Math.max(0, delayMs(attempt, error, random)) };
}

/** Whether another attempt may help. The user's word counts, except against his own NonRetryableError; a `retryIf` that throws, or gives a promise, is no word. */
export function mayRetry({ retryIf }: Pick<RetryPolicy, 'retryIf'>, { error, attempt }: FailedAttempt): boolean {
  if (isNonRetryableError(error)) return false;
  if (retryIf === undefined) return classify(error).retryable;
  try {
    const word = retryIf(error, attempt);
    return isDroppedPromise(word) ? classify(error).retryable : word;
  } catch {
    return classify(error).retryable;
  }
}

function delaysOf(
  backoff: RetryOptions['backoff'],
  problem: (text: string) => void,
  where: string,
): Pick<RetryPolicy, 'delayMs' | 'longestDelayMs'> {
  if (typeof backoff === 'function')
    return {
      delayMs: (attempt, error) => {
        const given = backoff(attempt, error);
        isDroppedPromise(given);
        return toMs(given, `${where}: backoff`);
      },
      longestDelayMs: () => undefined,
    };
  const { delay = DEFAULT_DELAY, factor = DEFAULT_FACTOR, maxDelay = DEFAULT_MAX_DELAY, jitter = 'full' }: Partial<Backoff> = backoff ?? {};
  const ms = (value: Duration, option: string): number => {
    try {
      return toMs(value, `${where}: ${option}`);
    } catch (error) {
      for (const each of problemsOf(error)) problem(each);
      return 0;
    }
  };
  const firstMs = ms(delay, 'backoff.delay');
  const maxMs = ms(maxDelay, 'backoff.maxDelay');
  if (!(factor >= 1)) problem(`${where}: backoff.factor is ${String(factor)}; a delay may not shrink, so use at least 1`);
  const longestDelayMs = (attempt: number) => Math.min(maxMs, firstMs * factor ** (attempt - 1));
  const delayMs: RetryPolicy['delayMs'] = (attempt, _error, random) => {
    const fullMs = longestDelayMs(attempt);
    if (jitter === 'none') return fullMs;
    return Math.round(jitter === 'equal' ? fullMs / 2 + (random.next() * fullMs) / 2 : random.next() * fullMs);
  };
  return { delayMs, longestDelayMs };
}
