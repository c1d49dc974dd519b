import { readProperty } from './printable.js';

/**
 * What kind of failure: it decides what happens next.
 *
 * - `configuration`: the start is refused, or the call that asks for what is not set up
 * - `contract`: the message cannot be read or is not valid; parked with its body, never retried
 * - `transient`: broker down, deadlock, time-out; retried, bounded
 * - `conflict`: somebody else was first (version, lease); retried after reading again
 * - `permanent`: refused for good; dead letter
 * - `outcome`: nobody knows what happened; recorded for a person
 * - `cancelled`: we are stopping; handed back without counting as a failure
 * - `invariant`: a bug in Holdfast; the component stops
 */
export type ErrorCategory = 'configuration' | 'contract' | 'transient' | 'conflict' | 'permanent' | 'outcome' | 'cancelled' | 'invariant';

/** What a HoldfastError is made of. */
export interface HoldfastErrorFields {
  readonly code: `HF_${string}`;
  readonly category: ErrorCategory;
  readonly message: string;
  /** The values the message speaks of, whole; copied. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

// In the global symbol registry, so that two copies of this package recognise each other's errors.
const MARK = Symbol.for('holdfast.error');

/** True when trying again can help: the failure was somebody else's moment, not this message's fault. */
export function isRetryable(category: ErrorCategory): boolean {
  return category === 'transient' || category === 'conflict';
}

/**
 * Every error of Holdfast. Made by `hfError` from the catalogue; tell them apart by `code`, and recognise one with `isHoldfastError`,
 * because `instanceof` fails when two copies of the package are installed.
 */
export class HoldfastError extends Error {
  /** Stable name of the failure; the text of the message may change, this does not. */
  readonly code: `HF_${string}`;
  /** What kind of failure it is. */
  readonly category: ErrorCategory;
  /** Whether trying again can help; follows from the category. */
  readonly retryable: boolean;
  /** The values the message speaks of, whole. */
  readonly details: Readonly<Record<string, unknown>>;

  /** @param fields code, category, finished message, details and cause */
  constructor(fields: HoldfastErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.category = fields.category;
    this.retryable = isRetryable(fields.category);
    this.details = Object.freeze({ ...fields.details });
  }
}

// On the prototype and not enumerable: neither printed nor serialised.
Object.defineProperty(HoldfastError.prototype, 'name', { value: 'HoldfastError', configurable: true, writable: true });
Object.defineProperty(HoldfastError.prototype, MARK, { value: true });

/**
 * True for an error of Holdfast (of this code, if given), also one from another copy of the package. Never throws.
 *
 * @param error any thrown value
 * @param code the code to look for; default: any
 */
export function isHoldfastError(error: unknown, code?: `HF_${string}`): error is HoldfastError {
  return readProperty(error, MARK) === true && (code === undefined || readProperty(error, 'code') === code);
}
