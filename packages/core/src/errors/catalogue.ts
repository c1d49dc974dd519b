import { HoldfastError } from './holdfast-error.js';
import { printable } from './printable.js';
import { BROKER_ERRORS } from './rows/broker.js';
import { DELIVERY_ERRORS } from './rows/delivery.js';
import { MESSAGE_ERRORS } from './rows/message.js';
import { PARTICIPANT_ERRORS } from './rows/participant.js';
import { REQUEST_ERRORS } from './rows/request.js';
import { SAGA_ERRORS } from './rows/saga.js';
import { SETUP_ERRORS } from './rows/setup.js';
import { STORE_ERRORS } from './rows/store.js';
import { TRY_ERRORS } from './rows/try-confirm-cancel.js';
import { UNIT_ERRORS } from './rows/unit-of-work.js';

/**
 * All errors of Holdfast: code → what happened, its category, what to do. Documentation and tests are made from this table.
 * A new error is one row in the file of its area under `rows/`; its `{placeholders}` are then asked for by the compiler.
 */
export const ERRORS = {
  ...SETUP_ERRORS,
  ...MESSAGE_ERRORS,
  ...UNIT_ERRORS,
  ...DELIVERY_ERRORS,
  ...REQUEST_ERRORS,
  ...SAGA_ERRORS,
  ...PARTICIPANT_ERRORS,
  ...TRY_ERRORS,
  ...STORE_ERRORS,
  ...BROKER_ERRORS,
} as const;

/** A code of the catalogue. */
export type ErrorCode = keyof typeof ERRORS;

// `{{` and `}}` stand for the braces themselves.
type Names<Text extends string> = Text extends `${infer Before}{{${infer Rest}`
  ? Names<Before> | (Rest extends `${infer Inside}}}${infer After}` ? Names<Inside> | Names<After> : never)
  : Text extends `${string}{${infer Name}}${infer Rest}`
    ? Name | Names<Rest>
    : never;

/** What the message of an error needs: a value for each of its placeholders. More may be given, it is kept in `details`. */
export type ErrorDetails<Code extends ErrorCode> = Readonly<Record<Names<(typeof ERRORS)[Code]['sentence' | 'fix']>, unknown>> &
  Readonly<Record<string, unknown>>;

/** Longest text of one entry of a list in an error message; longer than a plain value, because entries are often whole sentences. */
const ENTRY_LENGTH = 500;
const ENTRIES = 50;

/**
 * Makes an error from the catalogue: what happened, the values, what to do.
 *
 * Values are shortened and made printable in the message and are kept whole in `details`; a list of several is printed one entry a line.
 *
 * @param code the row of the catalogue
 * @param details a value for each `{placeholder}` of the row, and whatever else may help
 * @param options `cause`: the error that led to this one
 */
export function hfError<Code extends ErrorCode>(
  code: Code,
  details: ErrorDetails<Code>,
  options?: { readonly cause?: unknown },
): HoldfastError {
  const { sentence, category, fix } = ERRORS[code];
  const message = `${asSentence(fill(sentence, details))}${fill(fix, details)}`;
  const error = new HoldfastError({ code, category, message, details, cause: options?.cause });
  Error.captureStackTrace?.(error, hfError); // the first frame is the place that found the fault
  return error;
}

const PLACEHOLDER = /\{\{|\}\}|\{(\w+)\}/g;
const ENTRY_MARK = '\n  - ';

function fill(text: string, details: Readonly<Record<string, unknown>>): string {
  return text.replace(PLACEHOLDER, (match, name: string | undefined) => {
    if (name === undefined) return match.charAt(0);
    const value = details[name];
    return Array.isArray(value) ? list(value) : printable(value);
  });
}

function list(values: readonly unknown[]): string {
  if (values.length === 0) return 'none';
  if (values.length === 1) return printable(values[0], ENTRY_LENGTH);
  const entries = values.slice(0, ENTRIES).map((value) => `${ENTRY_MARK}${printable(value, ENTRY_LENGTH)}`);
  return values.length > ENTRIES ? `${entries.join('')}${ENTRY_MARK}and ${values.length - ENTRIES} more` : entries.join('');
}

/** Ends the text with one full stop, or with a line break after a list, whatever the last value ended with. */
function asSentence(text: string): string {
  if (text.includes(ENTRY_MARK)) return `${text}\n`;
  return `${text.replace(/([.!?…])?\.?$/, (_, end: string | undefined) => end ?? '.')} `;
}
