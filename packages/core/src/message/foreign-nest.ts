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
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
    return isObject(value) ? value : {};
  } catch {
    return {};
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
