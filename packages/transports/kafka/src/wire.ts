import { attributesIn, type Envelope, type Incoming, structuredType } from '@holdfast/core';
import type { OutgoingRecord, ReceivedRecord } from './client.port.js';

const ATTRIBUTE = 'ce_';
const CONTENT_TYPE = 'content-type';
/** The attributes are in the body. */
const STRUCTURED = /^application\/cloudevents/i;
/** Put in front of an application header whose name means something to CloudEvents or to us. */
const ESCAPE = 'holdfast:';
/** Begin of the headers that say why a message is dead. */
export const DEAD = 'holdfast-dead-';
const BEGINS = [ATTRIBUTE, ESCAPE, DEAD];
/** Where a dead letter was, so that one that is put back is read as it was before. */
export const DEAD_ADDRESS = `${DEAD}address`;
/** Characters of a type that are looked at. */
const TYPE_LENGTH = 250;
const NONE = new Uint8Array();
/** Bytes that come on top, at most: of a record, and of each of its headers. */
const OF_RECORD = 100;
const OF_HEADER = 10;

type Headers = OutgoingRecord['headers'];

/**
 * A message in CloudEvents binary mode: attributes are headers `ce_<name>`, the data is the value, the ordering key is the key of the record, application
 * headers are headers.
 *
 * @source CloudEvents Kafka Protocol Binding 1.0.2 §3.2 and §3.1 (key mapping)
 */
export function toRecord(envelope: Envelope, topic: string): OutgoingRecord {
  const { headers: application, datacontenttype, ...attributes } = attributesIn(envelope);
  const headers: Record<string, Buffer> = { [CONTENT_TYPE]: Buffer.from(datacontenttype) };
  for (const name in attributes) {
    const value = attributes[name];
    if (typeof value === 'string') headers[`${ATTRIBUTE}${name}`] = Buffer.from(value);
  }
  for (const name of Object.keys(application))
    headers[isReserved(name) ? `${ESCAPE}${name}` : name] = Buffer.from(application[name] as string);
  const { body, key } = envelope;
  const value = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return { topic, key: key === undefined ? null : Buffer.from(key), value, headers };
}

/** About as many bytes as a record has in a batch. */
export function bytesOf({ key, value, headers }: OutgoingRecord): number {
  let bytes = (key?.byteLength ?? 0) + (value?.byteLength ?? 0) + OF_RECORD;
  for (const name in headers) {
    bytes += name.length + OF_HEADER;
    const each = headers[name] as Buffer | readonly Buffer[];
    if (Buffer.isBuffer(each)) bytes += each.byteLength;
    else for (const one of each) bytes += one.byteLength;
  }
  return bytes;
}

/**
 * A record of any origin, as the engine takes it: nothing in it is trusted, and nothing of it is refused here. One that says nothing of CloudEvents comes
 * with its topic as its address, for `readForeign`.
 */
export function fromRecord(record: ReceivedRecord, isRedelivery: boolean): Incoming {
  const attributes: Record<string, unknown> = Object.create(null);
  const headers: Record<string, unknown> = Object.create(null);
  const contentType = textOf(record.headers[CONTENT_TYPE]);
  let isForeign = !STRUCTURED.test(contentType ?? '');
  for (const name in record.headers) {
    const value = record.headers[name];
    if (name.startsWith(ATTRIBUTE)) {
      attributes[name.slice(ATTRIBUTE.length)] = textOf(value);
      isForeign = false;
    } else if (name !== CONTENT_TYPE && !name.startsWith(DEAD))
      headers[name.startsWith(ESCAPE) ? name.slice(ESCAPE.length) : name] = textOf(value);
  }
  if (contentType !== undefined) attributes.datacontenttype = contentType;
  // One that is none is missing, to be told by whoever reads the attributes.
  attributes.time ??= record.at.toJSON() ?? undefined;
  if (record.key !== null) attributes.partitionkey ??= record.key.toString();
  attributes.headers = headers;
  const place = `${record.topic}/${record.partition}/${record.offset}`;
  // The same each time it is read, for who knows it by nothing else.
  if (isForeign) Object.assign(headers, { 'kafka-record': place, 'kafka-key': record.key?.toString() });
  // Ours to say, whatever was sent under this name.
  attributes.address = isForeign ? (textOf(record.headers[DEAD_ADDRESS]) ?? record.topic) : undefined;
  return {
    type: typeof attributes.type === 'string' ? attributes.type.replaceAll('\0', '').slice(0, TYPE_LENGTH) : '',
    attributes: JSON.stringify(attributes),
    body: record.value ?? NONE,
    place,
    lane: undefined,
    // The age of a message is that of its publish: what a repeat of the relay says of it would make it younger.
    writtenAt: undefined,
    attempts: 0,
    isRedelivery,
    hasConsent: false,
    deliveryId: undefined,
  };
}

/** What a record says of itself in one attribute, before it is read. */
export function attributeOf({ headers }: ReceivedRecord, name: string): string | undefined {
  return textOf(headers[`${ATTRIBUTE}${name}`]);
}

/** Its type before it is read, also where that is in the body; empty where it cannot be told. */
export function typeOf(record: ReceivedRecord): string {
  const contentType = textOf(record.headers[CONTENT_TYPE]) ?? attributeOf(record, 'datacontenttype');
  return structuredType(contentType, record.value ?? NONE) ?? attributeOf(record, 'type') ?? '';
}

/** `__proto__` is none that an object could have. */
function isReserved(name: string): boolean {
  return name === CONTENT_TYPE || name === '__proto__' || BEGINS.some((begin) => name.startsWith(begin));
}

/** Of a header that is there several times, the last one. */
function textOf(value: Headers[string] | undefined): string | undefined {
  if (value === undefined) return undefined;
  return (Buffer.isBuffer(value) ? value : (value as readonly Buffer[]).at(-1))?.toString();
}
