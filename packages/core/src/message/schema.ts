import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { MessageDescription } from './message-class.js';

/**
 * Data as the schema of its message gives it back; as it is when there is no schema. A promise only when the schema needs one.
 *
 * @throws HF_MESSAGE_INVALID listing what the schema found, or that it threw
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
    if (!isThenable(result)) return accepted(result, description);
    return Promise.resolve(result)
      .then((settled) => accepted(settled, description))
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

function accepted(result: unknown, description: MessageDescription): unknown {
  const { issues, value } = (result ?? {}) as { readonly issues?: readonly Issue[]; readonly value?: unknown };
  if (!issues) return value;
  throw hfError('HF_MESSAGE_INVALID', { type: description.type, issues: Array.from(issues).slice(0, ISSUES).map(issueText) });
}

function issueText({ message, path }: Issue): string {
  const names = (path ?? []).map((segment) => String(typeof segment === 'object' ? segment.key : segment));
  return names.length === 0 ? String(message) : `${names.join('.')}: ${String(message)}`;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}
