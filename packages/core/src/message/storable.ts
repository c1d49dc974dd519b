import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import type { MessageLimits } from './limits.js';

// NUL, which PostgreSQL's text cannot hold, and halves of surrogate pairs, which have no UTF-8.
const UNSTORABLE = /[\0\p{Surrogate}]/u;
/** Bytes of a header's name: AMQP has 255 for it, and a name that means something to a broker travels behind one of our own. */
const HEADER_NAME_BYTES = 240;
/** Characters of a value that an error shows. */
const SHOWN = 60;

/**
 * Checks a text that becomes a key or a column: an id, a source, an ordering key.
 *
 * @param text the value, of unknown origin
 * @param part what it is, for the error: "The message id"
 * @param maxLength most characters
 * @throws HF_MESSAGE_ID when it is no text, empty, too long, or cannot be stored as UTF-8 text
 */
export function assertStorable(text: unknown, part: string, maxLength: number): asserts text is string {
  const reason = unstorable(text, maxLength);
  if (reason !== undefined) throw hfError('HF_MESSAGE_ID', { part, value: text, reason, limit: maxLength });
}

/**
 * Application headers, checked and copied into an object without a prototype.
 *
 * @param headers name → value, both text; undefined: none
 * @throws HF_MESSAGE_HEADERS when there are too many, they are too large, or one is no text that can be stored
 */
export function headersFrom(headers: unknown, limits: MessageLimits): Readonly<Record<string, string>> {
  const copy: Record<string, string> = Object.create(null);
  if (headers === undefined) return copy;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) throw badHeaders('they are no object of texts', headers);
  const entries = Object.entries(headers);
  if (entries.length > limits.headers) throw badHeaders(`there are ${entries.length}, the limit is ${limits.headers}`, headers);
  let bytes = 0;
  for (const [name, value] of entries) {
    const reason = unstorable(name, limits.headerBytes) ?? (value === '' ? undefined : unstorable(value, limits.headerBytes));
    if (reason !== undefined) throw badHeaders(`${JSON.stringify(name.slice(0, 100))}: ${reason}`, headers);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value as string);
    if (bytes > limits.headerBytes) throw badHeaders(`they have more than ${limits.headerBytes} bytes`, headers);
    copy[name] = value as string;
  }
  return copy;
}

/**
 * `headersFrom` for a message that is to be sent, which any transport has to be able to carry: what came from elsewhere may have longer names.
 *
 * @throws HF_MESSAGE_HEADERS also when the name of one is too long
 */
export function headersToSend(headers: unknown, limits: MessageLimits): Readonly<Record<string, string>> {
  const copy = headersFrom(headers, limits);
  for (const name of Object.keys(copy)) {
    const bytes = Buffer.byteLength(name);
    if (bytes > HEADER_NAME_BYTES)
      throw badHeaders(`${JSON.stringify(name.slice(0, 100))}: its name has ${bytes} bytes, the limit is ${HEADER_NAME_BYTES}`, headers);
  }
  return copy;
}

/** Why a value cannot be a key or a column, with the value; undefined when it can. */
export function unstorable(text: unknown, maxLength: number): string | undefined {
  if (text === undefined || text === null) return 'it is missing';
  if (typeof text !== 'string') return `it is no text but of type ${typeof text}: ${printable(text, SHOWN)}`;
  if (text === '') return 'it is empty';
  if (text.length > maxLength) return `it has ${text.length} characters, the limit is ${maxLength}: ${printable(text, SHOWN)}`;
  return UNSTORABLE.test(text) ? `it has a NUL or half of a surrogate pair in it: ${printable(text, SHOWN)}` : undefined;
}

function badHeaders(reason: string, headers: unknown): Error {
  return hfError('HF_MESSAGE_HEADERS', { reason, headers });
}
