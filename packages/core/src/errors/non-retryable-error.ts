import type { Json } from '../message/message.js';
import { readProperty } from './printable.js';

// In the global symbol registry, so that another copy of this package recognises it.
const MARK = Symbol.for('holdfast.non-retryable');

/** Thrown by your handler or step: trying again cannot help (dead letter, or compensation at once). */
export class NonRetryableError extends Error {
  /** What the requester gets to know beside the message; empty unless given. */
  readonly details: Readonly<Record<string, Json>>;

  /**
   * @param message why it cannot be done, for a person
   * @param options `cause`: the error behind it; `details`: JSON, travels to the requester
   */
  constructor(message: string, options?: { cause?: unknown; details?: Readonly<Record<string, Json>> }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.details = Object.freeze({ ...options?.details });
  }
}

Object.defineProperty(NonRetryableError.prototype, 'name', { value: 'NonRetryableError', configurable: true, writable: true });
Object.defineProperty(NonRetryableError.prototype, MARK, { value: true });

/** True for a NonRetryableError, also one from another copy of the package. Never throws. */
export function isNonRetryableError(error: unknown): error is NonRetryableError {
  return readProperty(error, MARK) === true;
}
