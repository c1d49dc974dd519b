import { isHoldfastError } from './holdfast-error.js';
import { readProperty } from './printable.js';

/** What an error says is wrong, one sentence each: a list of problems within another one is told as one list. */
export function problemsOf(error: unknown): readonly string[] {
  const { problems } = (isHoldfastError(error, 'HF_CONFIG_INVALID') ? error.details : {}) as { readonly problems?: unknown };
  if (Array.isArray(problems)) return problems.map(String);
  const message = readProperty(error, 'message');
  return [typeof message === 'string' ? message : String(error)];
}
