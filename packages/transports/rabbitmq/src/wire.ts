import { createHash } from 'node:crypto';
import { addressOf as addressIn, attributesIn, type Envelope, type Incoming, printable, slotOf } from '@holdfast/core';
import type { ConsumeMessage, MessageProperties, Options } from 'amqplib';

/** A message as amqplib publishes it. */
export interface WireMessage {
  /** Straight to the queue that the routing key names, past the exchange. */
  readonly isDirect: boolean;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly contentType: string;
}

/** Bytes of a type that leave room for the last word of a routing key, of which AMQP takes 255. */
const TYPE_BYTES = 250;
/** Of the name of a queue, in AMQP. */
const QUEUE_BYTES = 255;
const ATTRIBUTE = 'cloudEvents:';
const HEADERS = new Map<string, string>();
/** CloudEvents lets both be read. */
const ATTRIBUTES = /^cloudEvents[:_](.+)$/;
/** The attributes are in the body. */
const STRUCTURED = /^application\/cloudevents/i;
/** Put in front of an application header whose name means something to RabbitMQ or to us. */
const ESCAPE = 'holdfast:';
/** Marks what is published, so that the broker's word about it can be told from others. */
export const TAG = 'holdfast-tag';
/** Begin of the headers that say why a message is dead. */
export const DEAD = 'holdfast-dead-';
/** Where a dead letter was sent, so that one that is moved back is read as it was before. */
export const DEAD_ADDRESS = `${DEAD}address`;
/** An exchange, a slash and a routing key; what is longer is none of ours. */
const ADDRESS_LENGTH = 511;
/** Headers that RabbitMQ acts on, or that it and the publisher add. */
const TAKEN = /^(?:CC|BCC|x-death|x-(?:first|last)-death-.*|x-delivery-count|x-acquired-count|holdfast-tag|holdfast-dead-.*)$/s;

/**
 * A message in CloudEvents binary mode: attributes are headers `cloudEvents:<name>`, the data is the body, application headers are headers.
 *
 * @param tag by which the broker's word about it is known
 * @source CloudEvents AMQP Protocol Binding 1.0.2 §3.1, whose application properties are the headers of AMQP 0-9-1
 */
export function toWire(envelope: Envelope, tag?: number): WireMessage {
  const attributes = attributesIn(envelope);
  const all: Record<string, string | number> = {};
  for (const name in attributes) {
    const value = attributes[name];
    if (typeof value === 'string' && name !== 'datacontenttype') all[headerOf(name)] = value;
  }
  for (const [name, value] of Object.entries(attributes.headers)) all[isReserved(name) ? `${ESCAPE}${name}` : name] = value;
  if (tag !== undefined) all[TAG] = tag;
  const { body, type, key } = envelope;
  const isDirect = envelope.kind === 'reply';
  return {
    isDirect,
    routingKey: isDirect
      ? queueOf(envelope)
      : routingKeyOf(routeOf(type, addressIn(envelope)), key === undefined ? undefined : slotOf(key)),
    content: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    headers: all,
    contentType: attributes.datacontenttype,
  };
}

/** How a message is published: it survives the broker, and comes back when nobody wants it. */
export function publishOptions({ headers, contentType }: Pick<WireMessage, 'headers' | 'contentType'>): Options.Publish {
  return { headers, contentType, persistent: true, mandatory: true };
}

/** Where a message is: queue and place in it, and when it came, which stands in for a time it does not have. */
interface Arrival {
  readonly place: string;
  readonly receivedAt: Date;
}

/**
 * A message of any origin, as the engine takes it: nothing in it is trusted, and nothing of it is refused here. One that says nothing of CloudEvents
 * comes with its address, for `readForeign`. Never throws, since that would end the channel, and the message would come again for ever: what cannot be read
 * comes with the reason in the place of its attributes, to be parked with it.
 */
export function fromWire(message: ConsumeMessage, at: Arrival): Incoming {
  try {
    return readWire(message, at);
  } catch (error) {
    return {
      ...arrived(message, at),
      type: '',
      attributes: JSON.stringify(`a message that cannot be read: ${printable(error)}`),
      // It is handled by nobody, so it ends no process.
      timesReturned: 0,
    };
  }
}

function readWire(message: ConsumeMessage, at: Arrival): Incoming {
  const { properties } = message;
  const attributes: Record<string, unknown> = Object.create(null);
  const headers: Record<string, unknown> = Object.create(null);
  const given: Readonly<Record<string, unknown>> = properties.headers ?? {};
  let isForeign = !STRUCTURED.test(String(properties.contentType));
  let isText = true;
  for (const name of Object.keys(given)) {
    const attribute = ATTRIBUTES.exec(name)?.[1];
    if (attribute === undefined && TAKEN.test(name)) continue;
    const value = textOf(given[name]);
    isText &&= typeof value === 'string';
    if (attribute === undefined) headers[name.startsWith(ESCAPE) ? name.slice(ESCAPE.length) : name] = value;
    else attributes[attribute] = value;
    isForeign &&= attribute === undefined;
  }
  attributes.datacontenttype ??= properties.contentType;
  attributes.time ??= at.receivedAt.toISOString();
  attributes.headers = isForeign ? { ...toldBy(properties), ...headers } : headers;
  // Ours to say, whatever was sent under this name.
  attributes.address = isForeign ? addressOf(message) : undefined;
  return {
    ...arrived(message, at),
    type: typeof attributes.type === 'string' ? attributes.type.replaceAll('\0', '').slice(0, TYPE_BYTES) : '',
    // Made when it is asked for, as by a store: of what is handled at once nobody needs it.
    get attributes() {
      return jsonOf(attributes);
    },
    read: isText && !isForeign ? attributes : undefined,
    timesReturned: timesReturned(properties.headers?.['x-delivery-count']),
  };
}

function arrived({ content, fields }: ConsumeMessage, { place }: Arrival) {
  return {
    body: content,
    place,
    lane: undefined,
    // The age of a message is that of its publish: what a repeat of the relay says of it would make it younger.
    writtenAt: undefined,
    attempts: 0,
    isRedelivery: fields.redelivered,
    hasConsent: false,
    deliveryId: undefined,
  };
}

/** Never throws: what has no form in JSON, as a table in thousands of others, is told as that, and refused by whoever looks at it. */
function jsonOf(attributes: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(attributes);
  } catch {
    const { headers, ...own } = attributes;
    return `{${[...partsOf(own), `"headers":{${partsOf(headers as object).join()}}`].join()}}`;
  }
}

function partsOf(values: object): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`${JSON.stringify(name)}:${partOf(value)}`]));
}

function partOf(value: unknown): string {
  try {
    // What AMQP has as a whole number beyond those of JSON becomes a text.
    return JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? String(each) : each));
  } catch (error) {
    return JSON.stringify({ unreadable: printable(error) });
  }
}

/** Quorum queues count how often they got a message back; a number of a foreign producer's own would do no harm but to its message. */
function timesReturned(count: unknown): number | undefined {
  return typeof count === 'number' ? count : undefined;
}

/** What messages of a type are routed by: the type, and before it the address where they have one, so that a queue gets no other type from there. */
export function routeOf(type: string, address: string): string {
  return address === type ? type : `${address}:${type}`;
}

/** Where messages of a type go, by the slot of their ordering key. */
export function routingKeyOf(type: string, slot: number | undefined): string {
  return `${wordsOf(type)}.${slot ?? 'none'}`;
}

/** What a queue is bound with to get a type: the last word says which slot the ordering key has, and any will do. */
export function bindingKeyOf(type: string): string {
  return `${wordsOf(type)}.*`;
}

/** What a requester called its queue. No queue has a longer name, or none: then the broker returns the reply. */
function queueOf({ destination = '' }: Envelope): string {
  return Buffer.byteLength(destination) <= QUEUE_BYTES ? destination : '';
}

/** A type as words of a routing key; one that is too long, or would be a pattern in a binding, is known by its hash. */
function wordsOf(type: string): string {
  const isPattern = /[*#]/.test(type) && type.split('.').some((word) => word === '*' || word === '#');
  if (!isPattern && Buffer.byteLength(type) <= TYPE_BYTES) return type;
  return `sha256-${createHash('sha256').update(type).digest('hex')}`;
}

/** The header of an attribute. Made once: all messages have the same few. */
function headerOf(attribute: string): string {
  const known = HEADERS.get(attribute);
  if (known !== undefined) return known;
  const header = `${ATTRIBUTE}${attribute}`;
  HEADERS.set(attribute, header);
  return header;
}

/** `__proto__` is none that an object could have. */
function isReserved(name: string): boolean {
  return name === '__proto__' || TAKEN.test(name) || ATTRIBUTES.test(name) || name.startsWith(ESCAPE);
}

/** What AMQP itself tells of a message, under the names of AMQP 1.0: all that a foreign producer may have said about it. */
function toldBy(properties: MessageProperties): Record<string, unknown> {
  const { messageId, correlationId, replyTo, contentType, appId, type, timestamp } = properties;
  const told = {
    'message-id': messageId,
    'correlation-id': correlationId,
    'reply-to': replyTo,
    'content-type': contentType,
    'app-id': appId,
    type,
    timestamp,
  };
  return Object.fromEntries(Object.entries(told).flatMap(([name, value]) => (value === undefined ? [] : [[name, textOf(value)]])));
}

/** Where a message was sent first: without an exchange, right to the queue that the routing key names. */
export function addressOf({ fields: { exchange, routingKey }, properties }: ConsumeMessage): string {
  const before: unknown = properties.headers?.[DEAD_ADDRESS];
  if (typeof before === 'string' && before.length <= ADDRESS_LENGTH) return before;
  return exchange === '' ? routingKey : `${exchange}/${routingKey}`;
}

/** Numbers, booleans and times of foreign producers as text; what has no text is left, to be told by whoever reads the attributes. */
function textOf(value: unknown): unknown {
  if (['number', 'boolean', 'bigint'].includes(typeof value)) return String(value);
  const { '!': kind, value: seconds } = (value ?? {}) as { readonly '!'?: unknown; readonly value?: unknown };
  const isTime = kind === 'timestamp' && ['number', 'bigint'].includes(typeof seconds);
  const time = isTime ? new Date(Number(seconds) * 1000) : undefined;
  return time === undefined || Number.isNaN(time.getTime()) ? value : time.toISOString();
}
