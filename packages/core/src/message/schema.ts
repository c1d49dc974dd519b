import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { printable, readProperty } from '../errors/printable.js';
import type { MessageDescription } from './message-class.js';

/**
 * Data as the schema of its message gives it back; as it is when there is no schema. A promise only when the schema needs one.
 *
 * @throws HF_MESSAGE_INVALID listing what the schema found and the values it found it in, or that it threw
 */
export function validated(data: unknown, description: MessageDescription): unknown {
  const { schema } = description;
  if (!schema) return data;
  const failed = (cause: unknown): never => {
    if (isHoldfastError(cause, 'HF_MESSAGE_INVALID')) throw cause;
    throw hfError('HF_MESSAGE_INVALID', { type: description.type, issues: ['its schema threw; see the cause'] }, { cause });
  };
  try {
    const result = schema['~standard'].validate(data);
    if (!isThenable(result)) return accepted(result, data, description);
    return Promise.resolve(result)
      .then((settled) => accepted(settled, data, description))
      .catch(failed);
  } catch (cause) {
    return failed(cause);
  }
}

/** Calls `next` with the value, at once unless it is a promise. */
export function whenReady<T, R>(value: T | Promise<T>, next: (value: T) => R): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Most issues named in an error: a list with a thousand wrong entries says enough with the first of them. */
const ISSUES = 20;

interface Issue {
  readonly message?: unknown;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

function accepted(result: unknown, data: unknown, description: MessageDescription): unknown {
  const { issues, value } = (result ?? {}) as { readonly issues?: readonly Issue[]; readonly value?: unknown };
  if (!issues) return value;
  const texts = Array.from(issues)
    .slice(0, ISSUES)
    .map((issue) => issueText(issue, data));
  throw hfError('HF_MESSAGE_INVALID', { type: description.type, issues: texts });
}

function issueText({ message, path }: Issue, data: unknown): string {
  const keys = (path ?? []).map((segment) => (typeof segment === 'object' ? segment.key : segment));
  const text = keys.length === 0 ? String(message) : `${keys.map(String).join('.')}: ${String(message)}`;
  const value = foundAt(data, keys);
  // Of the data as a whole there is nothing to say.
  return value === undefined ? text : `${text.replace(/\.$/, '')}; it is ${value}`;
}

/** Longest number that is shown, in characters. */
const SHOWN = 80;

/** Names of what may not be read in a log, with their words apart. */
const SECRET = /pass|secret|token|credential|key|auth|pin|pwd|cvc|cvv|ssn|iban|otp|card|account/i;

/**
 * What stands at a path, for a person: a number or a truth value as it is, of anything else its kind. Texts are never shown, because a rule may complain of one
 * that is a secret or a person's; nor is what a name on its path calls a secret. Nothing where there is nothing, for a schema may name what it makes of the data.
 */
function foundAt(data: unknown, path: readonly PropertyKey[]): string | undefined {
  let value = data;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = readProperty(value, key);
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'string') return `a text of ${value.length}`;
  if (typeof value === 'object' && value !== null) return path.length === 0 ? undefined : 'an object';
  if (value === undefined) return undefined;
  return path.some((key) => SECRET.test(String(key))) ? `a ${typeof value}` : printable(value, SHOWN);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}
