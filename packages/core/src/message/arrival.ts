import { isUtf8 } from 'node:buffer';
import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';
import { type Attributes, parseAttributes } from './attributes.js';
import { mapForeign, type ReadForeign } from './foreign.js';
import { depthFault, isNestedDeeper } from './json.js';
import type { MessageLimits } from './limits.js';

/** A message as its transport took it in. */
export interface Arrived {
  /** Attributes, and `headers`, as flat JSON text. With `address`, and without any attribute of CloudEvents: a foreign message. */
  readonly attributes: string;
  /** The same before they were text, where its transport has them so. */
  readonly read?: Attributes | undefined;
  readonly body: Uint8Array;
}

/** What reading it depends on. */
export interface ArrivalOptions {
  readonly limits: MessageLimits;
  readonly readForeign: ReadForeign | undefined;
}

/** Attributes and data of a message, wherever they were. */
export interface Arrival {
  readonly attributes: Attributes;
  readonly body: Uint8Array;
  /** True when `readForeign` made them: asked again, it may give the message another id. */
  readonly isMapped: boolean;
}

/** What CloudEvents calls its structured mode: the whole event is in the body. */
const STRUCTURED = 'application/cloudevents';
const STRUCTURED_JSON = /^application\/cloudevents\+json\s*(?:;.*)?$/i;
/** Bytes of an event in structured mode that is looked into before it is read. */
const LOOKED_INTO_BYTES = 2 ** 24;

/**
 * Finds attributes and data of a message: beside the body (binary mode), in it (structured mode), or by `readForeign`.
 *
 * @throws HF_MESSAGE_UNREADABLE, HF_MESSAGE_TOO_LARGE, HF_MESSAGE_FOREIGN
 * @source CloudEvents 1.0.2 AMQP Protocol Binding §3, JSON Event Format §3
 */
export function readArrival(arrived: Arrived, { limits, readForeign }: ArrivalOptions): Arrival {
  const { body } = arrived;
  const attributes = arrived.read ?? parseAttributes(arrived.attributes);
  const { datacontenttype, address, time } = attributes;
  if (isStructured(datacontenttype)) return { ...fromStructured(attributes, body, limits), isMapped: false };
  if (typeof address !== 'string') return { attributes, body, isMapped: false };
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(attributes.headers ?? {})) if (typeof value === 'string') headers[name] = value;
  const receivedAt = typeof time === 'string' ? time : printable(time);
  return { ...mapForeign({ address, headers, body }, readForeign, receivedAt), isMapped: true };
}

function isStructured(contentType: unknown): boolean {
  return typeof contentType === 'string' && contentType.slice(0, STRUCTURED.length).toLowerCase() === STRUCTURED;
}

/**
 * The type of an event in structured mode before anybody reads it: for transports that have to know which of several types it is. Empty where it cannot be
 * told, which whoever reads it will say; undefined where the mode is another one, and the attributes are beside the body.
 */
export function structuredType(contentType: unknown, body: Uint8Array): string | undefined {
  if (!isStructured(contentType)) return undefined;
  if (!STRUCTURED_JSON.test(String(contentType)) || body.byteLength > LOOKED_INTO_BYTES) return '';
  try {
    const type: unknown = (JSON.parse(textOf(body)) as { readonly type?: unknown } | null)?.type;
    return typeof type === 'string' ? type : '';
  } catch {
    return '';
  }
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    .toString()
    .replace(/^\ufeff/, '');
}

/** An event that is all in the body. Its transport's headers stay application headers. */
function fromStructured(beside: Attributes, body: Uint8Array, limits: MessageLimits): Omit<Arrival, 'isMapped'> {
  const unreadable = (reason: string, cause?: unknown) =>
    hfError('HF_MESSAGE_UNREADABLE', { part: 'A CloudEvent in structured mode', reason }, { cause });
  if (!STRUCTURED_JSON.test(String(beside.datacontenttype)))
    throw unreadable(`${printable(beside.datacontenttype)} is not read here; send application/cloudevents+json, each event by itself`);
  if (body.byteLength > limits.bodyBytes)
    throw hfError('HF_MESSAGE_TOO_LARGE', { type: 'a CloudEvent in structured mode', bytes: body.byteLength, limit: limits.bodyBytes });
  if (!isUtf8(body)) throw unreadable('it is not UTF-8');
  const text = textOf(body);
  // The data is one level down.
  if (isNestedDeeper(text, limits.depth + 1)) throw unreadable(depthFault(text, limits.depth, 1));
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch (cause) {
    throw unreadable(`it is not JSON: ${printable(text, 80)}`, cause);
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) throw unreadable(`it is no object: ${printable(text, 80)}`);
  const { data, data_base64: bytes, ...found } = event as Readonly<Record<string, unknown>>;
  const attributes = Object.fromEntries(Object.entries(found).map(([name, value]) => [name, isPlain(value) ? String(value) : value]));
  const json = typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : Buffer.from(data === undefined ? '' : JSON.stringify(data));
  return { attributes: { ...attributes, time: attributes.time ?? beside.time, headers: beside.headers }, body: json };
}

/** Extension attributes may be numbers and booleans. */
function isPlain(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}
