import { ERRORS, type ErrorCode } from './catalogue.js';
import { type ErrorCategory, isHoldfastError, isRetryable } from './holdfast-error.js';
import { isNonRetryableError } from './non-retryable-error.js';
import { readProperty } from './printable.js';

/** What a thrown value means for the message at hand. */
export interface Classification {
  /** Code of the error (`HF_…`, `ECONNREFUSED`, `40001`), or its type where it has none. */
  readonly code: string;
  /** What kind of failure it is. */
  readonly category: ErrorCategory;
  /** Whether trying again can help. */
  readonly retryable: boolean;
}

/** Client errors of HTTP that pass by themselves. @source RFC 9110 §15.5.9 (408), RFC 8470 (425), RFC 6585 §4 (429); 423: RFC 4918 §11.3 */
const PASSING_STATUS: ReadonlySet<unknown> = new Set([408, 423, 425, 429]);

/**
 * Says what to do about any thrown value. Never throws, whatever the value is.
 *
 * What is known to be hopeless is permanent: NonRetryableError, a refusal by a guard (ForbiddenException), an HTTP client error as Nest's
 * HttpException carries it (except those that pass by themselves: 408, 423, 425, 429). All other strangers are transient, and the number of
 * attempts bounds them.
 */
export function classify(error: unknown): Classification {
  if (isHoldfastError(error)) return classifyOwn(error);
  const category = isHopeless(error) ? 'permanent' : 'transient';
  return { code: codeOf(error) ?? errorType(error), category, retryable: isRetryable(category) };
}

/** Whether an error says by itself, and not by a code of ours, that trying again cannot help: somebody has decided so. Never throws. */
export function isDeliberate(error: unknown): boolean {
  return !isHoldfastError(error) && isHopeless(error);
}

/** Name of the kind of a thrown value: the error's name, its class where the name says nothing, `string`, `null` … Never throws. */
export function errorType(error: unknown): string {
  if (typeof error !== 'object' || error === null) return error === null ? 'null' : typeof error;
  const name = nameOf(readProperty(error, 'name'));
  if (name && name !== 'Error') return name;
  return nameOf(readProperty(readProperty(error, 'constructor'), 'name')) ?? name ?? 'object';
}

/** The error's own code, when it is one: short, without blanks. */
export function codeOf(error: unknown): string | undefined {
  const code = readProperty(error, 'code');
  const text = typeof code === 'number' ? String(code) : code;
  return typeof text === 'string' && /^[\w.:-]{1,64}$/.test(text) ? text : undefined;
}

function classifyOwn(error: unknown): Classification {
  const code = String(readProperty(error, 'code'));
  // A newer copy of the package may have codes this one does not know; its category then comes with the error.
  const known = Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].category : (readProperty(error, 'category') as ErrorCategory);
  return { code, category: known, retryable: isRetryable(known) };
}

function isHopeless(error: unknown): boolean {
  if (isNonRetryableError(error) || readProperty(error, 'name') === 'ForbiddenException') return true;
  const status = httpStatus(error);
  return typeof status === 'number' && status >= 400 && status < 500 && !PASSING_STATUS.has(status);
}

function httpStatus(error: unknown): unknown {
  const getStatus = readProperty(error, 'getStatus');
  if (typeof getStatus !== 'function') return undefined;
  try {
    return getStatus.call(error);
  } catch {
    return undefined;
  }
}

function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.slice(0, 200) : undefined;
}
