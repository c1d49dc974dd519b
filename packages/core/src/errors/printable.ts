/** Longest text of one value in an error message, in characters. */
export const VALUE_LENGTH = 200;

// Control characters, line separators, the characters that reorder text on a screen, and lone surrogates.
const UNPRINTABLE = /[\p{Cc}\p{Surrogate}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const SHORT_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Replaces everything that could break a line, move a cursor or hide text by its escape (`\n`, `\u001b`), for logs and error messages. */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, (char) => SHORT_ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value as a person may read it, on one line and at most `maxLength` characters long. Never throws, whatever the value is. */
export function printable(value: unknown, maxLength: number = VALUE_LENGTH): string {
  let text: string;
  try {
    text = rawText(value);
  } catch {
    text = `(unprintable ${typeof value})`;
  }
  // Cut before escaping, so that a huge text costs nothing, and after it, because escapes are longer.
  const escaped = escapeControls(text.slice(0, maxLength + 1));
  return escaped.length > maxLength ? `${escaped.slice(0, maxLength - 1)}…` : escaped;
}

/** A property of a value of unknown origin; undefined when there is none or when reading it throws (getter, revoked proxy). */
export function readProperty(value: unknown, name: PropertyKey): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  try {
    return (value as Record<PropertyKey, unknown>)[name];
  } catch {
    return undefined;
  }
}

function rawText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return value.name || 'an anonymous function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Error) return value.message;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  return JSON.stringify(value) ?? `an instance of ${value.constructor?.name}`;
}
