import { isHoldfastError, printable } from '@holdfast/core';
import { EXIT, type ExitCode } from './command.js';
import { UsageError } from './usage-error.js';

/** Longest text of an error that is not ours. */
const MESSAGE_LENGTH = 2000;

/** Errors of Holdfast that say the command was called wrongly. */
const USAGE_CODES = ['HF_CONFIG_INVALID', 'HF_OPERATOR_REASON', 'HF_OPERATOR_FILTER', 'HF_OPERATOR_PAGE', 'HF_TRANSPORT_NAME'];

/** What went wrong as text for a person, and the exit code it means. */
export function report(error: unknown): { readonly text: string; readonly code: ExitCode } {
  if (error instanceof UsageError) return { text: error.message, code: EXIT.usage };
  if (isHoldfastError(error))
    return { text: `${error.message} (${error.code})`, code: USAGE_CODES.includes(error.code) ? EXIT.usage : EXIT.no };
  return { text: `${describe(error)}.`, code: EXIT.no };
}

/** Any thrown value on one line. An AggregateError, as from a connection that was tried on several addresses, has its words inside. */
export function describe(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(describe))].join('; ');
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const text = printable(message || code || error, MESSAGE_LENGTH).replace(/\.$/, '');
  return typeof code === 'string' && !text.includes(code) ? `${text} (${printable(code)})` : text;
}
