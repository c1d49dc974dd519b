import type { Duration } from '../time/duration.js';

/** A property descriptor read only: covariant, so that a decorator's options are typed from the method below it. */
export interface MethodDescriptor<F> {
  readonly value?: F;
}

/** A method that returns a promise. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** What `Retry`, `Idempotent` and `Transactional` return. */
export type PolicyDecorator = (target: object, name: string, descriptor: MethodDescriptor<AsyncMethod>) => void;

/** A delay that grows with each attempt. */
export interface Backoff {
  /** Wait before the second attempt; without a `backoff` it is '200ms'. */
  delay: Duration;
  /** Growth per attempt, at least 1; default 2. */
  factor?: number;
  /** Upper bound of the wait; default '30s'. */
  maxDelay?: Duration;
  /** Randomness of the wait: 'full' anything from 0 to it, 'equal' from half of it, 'none' exactly it; default 'full'. @source AWS Builders' Library, "Timeouts, retries and backoff with jitter" */
  jitter?: 'full' | 'equal' | 'none';
}

/** What happens after a failure. */
export interface RetryOptions {
  /** Attempts in all, the first included, at least 1; default 5. */
  attempts?: number;
  /** Waits between attempts. */
  backoff?: Backoff | ((attempt: number, error: unknown) => Duration);
  /** False sends the message to the dead letters at once; default: the error's category decides. */
  retryIf?: (error: unknown, attempt: number) => boolean;
}

/** How long and by what a repeated call is recognised. */
export interface IdempotentOptions<Args extends readonly unknown[]> {
  /** Computes the key from the method's arguments; default on handlers: source + message id; without it on a plain method HF_IDEMPOTENT_KEY_MISSING at start. */
  key?: (...args: Args) => string;
  /** How long a key is remembered; default '7d'. A longer one keeps more rows: messages per second × ttl. */
  ttl?: Duration;
  /** Without `@Transactional`: how long a claim lives between renewals; default '60s'. */
  lockTtl?: Duration;
  /** What happens to a message older than `ttl`, which cannot be proven new; default 'park'. */
  onExpired?: 'park' | 'handle';
}
