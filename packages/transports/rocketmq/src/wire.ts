import { createHash } from 'node:crypto';
import { attributesIn, type Envelope, type Incoming, structuredType } from '@holdfast/core';
import type { OutgoingMessage, ReceivedMessage } from './client.port.js';

const ATTRIBUTE = 'CE_';
const CONTENT_TYPE = `${ATTRIBUTE}datacontenttype`;
/** The attributes are in the body. */
const STRUCTURED = /^application\/cloudevents/i;
/** Before the name of an application header that RocketMQ does not take, or that means something to CloudEvents or to us. */
const ESCAPE = 'holdfast-header-';
/** Of a message without a body, which RocketMQ does not take. */
const EMPTY = 'holdfast-empty';
/** Begin of the properties that say why a message is dead. */
export const DEAD = 'holdfast-dead-';
/** Where a dead letter was, so that one that is put back is read as it was before. */
export const DEAD_ADDRESS = `${DEAD}address`;
/** Names that RocketMQ does not have for itself: those are in capitals, or begin with two underscores. */
const FREE_NAME = /^(?!__)(?=.*[a-z])[\w.-]+$/;
/** What RocketMQ takes, of a group in bytes. */
const GROUP_BYTES = 64;
export const MOST_PROPERTIES = 128;
export const PROPERTY_BYTES = 16_384;
/** Characters of a type that are looked at. */
const TYPE_LENGTH = 250;
const NONE = new Uint8Array();

/**
 * A message in CloudEvents binary mode: attributes are user properties `CE_<name>`, the data is the body, application headers are user properties. The
 * ordering key is the message group, of which RocketMQ takes up to 64 bytes; a longer one is known by its hash. A message without a key has its own.
 *
 * @source CloudEvents SDK for Java, RocketMQ binding
 */
export function toMessage(envelope: Envelope, topic: string): OutgoingMessage {
  const { headers: application, datacontenttype, ...attributes } = attributesIn(envelope);
  const properties = new Map([[CONTENT_TYPE, datacontenttype]]);
  for (const [name, value] of Object.entries(attributes))
    if (typeof value === 'string') properties.set(`${ATTRIBUTE}${name}`, encoded(value));
  for (const [name, value] of Object.entries(application)) properties.set(propertyOf(name), encoded(value));
  const { body, id, source, key } = envelope;
  if (body.byteLength === 0) properties.set(EMPTY, 'yes');
  return {
    topic,
    group: groupOf(key ?? `${source}/${id}`),
    body: body.byteLength === 0 ? Buffer.alloc(1) : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    properties,
    keys: /^[!-~]{1,64}$/.test(id) ? [id] : [],
  };
}

/** Why RocketMQ would refuse it, with what to do; undefined: it would not. How large a body may be is known to the client. */
export function problemOf({ properties }: OutgoingMessage): string | undefined {
  if (properties.size > MOST_PROPERTIES)
    return `it has ${properties.size} attributes and headers, and RocketMQ takes ${MOST_PROPERTIES}; put some of them into the body`;
  const bytes = [...properties].flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return bytes > PROPERTY_BYTES
    ? `its attributes and headers have ${bytes} bytes, and RocketMQ takes ${PROPERTY_BYTES}; put some of them into the body`
    : undefined;
}

/**
 * A message of any origin, as the engine takes it: nothing in it is trusted, and nothing of it is refused here. One that says nothing of CloudEvents comes
 * with its topic as its address, for `readForeign`.
 */
export function fromMessage(message: ReceivedMessage): Incoming {
  const attributes: Record<string, unknown> = Object.create(null);
  const headers: Record<string, unknown> = Object.create(null);
  const { properties, topic, attempt } = message;
  const contentType = properties.get(CONTENT_TYPE);
  let isForeign = !STRUCTURED.test(contentType ?? '');
  for (const [name, value] of properties) {
    if (name.startsWith(ATTRIBUTE)) {
      attributes[name.slice(ATTRIBUTE.length)] = decoded(value);
      isForeign &&= name === CONTENT_TYPE;
    } else if (name !== EMPTY && !name.startsWith(DEAD)) headers[headerOf(name)] = decoded(value);
  }
  // One that is none is missing, to be told by whoever reads the attributes.
  attributes.time ??= message.at.toJSON() ?? undefined;
  if (isForeign && message.group !== undefined) attributes.partitionkey ??= message.group;
  attributes.headers = headers;
  // Ours to say, whatever was sent under this name.
  attributes.address = isForeign ? (properties.get(DEAD_ADDRESS) ?? topic) : undefined;
  return {
    type: typeof attributes.type === 'string' ? attributes.type.replaceAll('\0', '').slice(0, TYPE_LENGTH) : '',
    attributes: JSON.stringify(attributes),
    body: properties.has(EMPTY) ? NONE : message.body,
    place: `${topic}/${message.id}`,
    lane: undefined,
    // The age of a message is that of its publish: what a repeat of the relay says of it would make it younger.
    writtenAt: undefined,
    attempts: 0,
    isRedelivery: attempt > 1,
    timesReturned: attempt - 1,
    hasConsent: false,
    deliveryId: undefined,
  };
}

function attributeOf({ properties }: Pick<ReceivedMessage, 'properties'>, name: string): string | undefined {
  const value = properties.get(`${ATTRIBUTE}${name}`);
  return value === undefined ? undefined : decoded(value);
}

/** Its type before it is read, also where that is in the body; empty where it cannot be told. */
export function typeOf(message: Pick<ReceivedMessage, 'properties' | 'body'>): string {
  return structuredType(attributeOf(message, 'datacontenttype'), message.body) ?? attributeOf(message, 'type') ?? '';
}

/** RocketMQ takes no control characters, and what it makes of an empty value is not said. `%` alone stands for nothing. */
export function encoded(value: string): string {
  // By way of bytes, because half of a surrogate pair is none.
  return value === ''
    ? '%'
    : Buffer.from(value)
        .toString()
        .replace(/%|\p{Cc}/gu, (sign) => encodeURIComponent(sign));
}

function decoded(value: string): string {
  if (value === '%') return '';
  return value.replace(/(?:%[\da-f]{2})+/gi, (signs) => {
    try {
      return decodeURIComponent(signs);
    } catch {
      // Somebody else's percent signs.
      return signs;
    }
  });
}

function groupOf(key: string): string {
  const isFit = Buffer.byteLength(key) <= GROUP_BYTES && /^[ -~]*[!-~][ -~]*$/.test(key);
  return isFit ? key : createHash('sha256').update(key).digest('base64url');
}

function propertyOf(header: string): string {
  return FREE_NAME.test(header) && !isReserved(header) ? header : `${ESCAPE}${Buffer.from(header).toString('hex')}`;
}

function headerOf(property: string): string {
  return property.startsWith(ESCAPE) ? Buffer.from(property.slice(ESCAPE.length), 'hex').toString() : property;
}

function isReserved(name: string): boolean {
  return [ATTRIBUTE, ESCAPE, EMPTY, DEAD].some((begin) => name.startsWith(begin));
}
