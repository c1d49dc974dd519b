import { randomUUID } from 'node:crypto';
import type { ForeignMessage, RawMessage, ReadForeign } from './foreign.js';

/** Options of `fromClientProxy`. */
export interface FromClientProxyOptions {
  /** Name of the service that sends; becomes the `source` of its messages. */
  source: string;
  /**
   * Id of an event that brings none, from its data and its type: something that is the same for every repeat of it, and for no other event of any type.
   * Default: a new one each time it comes from the broker, so that `@Idempotent` does not know a repeat of it.
   */
  id?: (data: unknown, type: string, raw: RawMessage) => string | undefined;
  /** Ordering key; default: none. */
  key?: (data: unknown, type: string, raw: RawMessage) => string | undefined;
}

/**
 * A `readForeign` for what Nest's ClientProxy sends: `{ pattern, data }` of `emit`, and `{ pattern, data, id }` of `send`, which gets no answer. The
 * pattern is the type; one that is an object is the text that Nest makes of it: `{"cmd":"place"}`.
 */
export function fromClientProxy({ source, id, key }: FromClientProxyOptions): ReadForeign {
  return (raw) => {
    const { pattern, data, id: own } = objectIn(raw.body);
    if (pattern === undefined || pattern === null || data === undefined) return undefined;
    const type = routeOf(pattern);
    const known = typeof own === 'string' ? own : (id?.(data, type, raw) ?? raw.headers['message-id']);
    return { id: known ?? randomUUID(), source, type, key: key?.(data, type, raw), data };
  };
}

/** Options of `fromKafkaClientProxy`. */
export interface FromKafkaClientProxyOptions extends FromClientProxyOptions {
  /** Type of the messages of a topic; default: the topic, which is what Nest makes of a pattern. */
  type?: (topic: string) => string;
}

/**
 * A `readForeign` for what Nest's ClientProxy sends over Kafka: the pattern is the topic, and the value of the record is the data. Without `id` an event is known by its
 * record: a redelivery of it is a repeat, one that was sent twice is not. Without `key` it has that of its record. What `send` sends gets no answer.
 */
export function fromKafkaClientProxy({ source, type = (topic) => topic, id, key }: FromKafkaClientProxyOptions): ReadForeign {
  return (raw) => {
    const data = jsonIn(raw.body);
    if (data === undefined) return undefined;
    const named = type(raw.address);
    const known = id?.(data, named, raw) ?? raw.headers['kafka-record'];
    return { id: known ?? randomUUID(), source, type: named, key: key?.(data, named, raw) ?? raw.headers['kafka-key'], data };
  };
}

/**
 * A `readForeign` for the envelopes of `@nestjs/outbox`: `{ id, topic, key, headers, createdAt, payload }`, by themselves or as the data of what a
 * ClientProxy sends. The topic is the type.
 *
 * @param options `source`: name of the service whose outbox it is; HoldfastOutboxTransport calls it `service`. Where both name it alike, a message
 * that is repeated while that service changes over is known as a repeat
 */
export function fromNestOutbox({ source }: { readonly source: string }): ReadForeign {
  return ({ body }) => {
    const outer = objectIn(body);
    const envelope = isObject(outer.data) && outer.pattern !== undefined ? outer.data : outer;
    const { id, topic, key, headers, createdAt, payload } = envelope;
    if (typeof id !== 'string' || typeof topic !== 'string' || typeof createdAt !== 'number' || payload === undefined) return undefined;
    const given = { key: key ?? undefined, headers: headers ?? {} } as Pick<ForeignMessage, 'key' | 'headers'>;
    return { id, source, type: topic, time: new Date(createdAt), data: payload, ...given };
  };
}

/** What is no JSON object is none of these messages. */
function objectIn(body: Uint8Array): Readonly<Record<string, unknown>> {
  const value = jsonIn(body);
  return isObject(value) ? value : {};
}

/** Undefined for what is no JSON. */
function jsonIn(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @source transformPatternToRoute of @nestjs/microservices: keys in order, so that two that are equal are one text */
function routeOf(pattern: unknown): string {
  if (!isObject(pattern)) return String(pattern);
  const sorted = Object.keys(pattern).sort((a, b) => a.localeCompare(b));
  return `{${sorted.map((name) => `${JSON.stringify(name)}:${partOf(pattern[name])}`).join(',')}}`;
}

function partOf(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : routeOf(value);
}
