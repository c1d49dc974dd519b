import { type Duration, toMs } from '../time/duration.js';
import type { Delivery } from './delivery.js';
import type { IdempotentOptions } from './policies.js';

const DEFAULT_TTL: Duration = '7d';
const DEFAULT_LOCK_TTL: Duration = '60s';

/** Idempotency of a handler, with its times in milliseconds. */
export interface IdempotencyPolicy {
  /** Business key; undefined: source and message id. */
  readonly key: ((message: unknown, delivery: Delivery) => string) | undefined;
  readonly ttlMs: number;
  readonly lockTtlMs: number;
  readonly onExpired: 'park' | 'handle';
}

/** Idempotency with its times in milliseconds. @throws HF_CONFIG_DURATION */
export function idempotencyOf(options: boolean | IdempotentOptions<never> | undefined): IdempotencyPolicy | undefined {
  if (options === undefined || options === false) return undefined;
  const {
    key,
    ttl = DEFAULT_TTL,
    lockTtl = DEFAULT_LOCK_TTL,
    onExpired = 'park',
  }: IdempotentOptions<never> = options === true ? {} : options;
  return { key: key as IdempotencyPolicy['key'], ttlMs: toMs(ttl, 'ttl'), lockTtlMs: toMs(lockTtl, 'lockTtl'), onExpired };
}
