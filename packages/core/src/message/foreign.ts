import { hfError } from '../errors/catalogue.js';
import { isDroppedPromise } from '../errors/dropped-promise.js';
import { printable, readProperty } from '../errors/printable.js';
import type { Attributes } from './attributes.js';

/** A message that is no CloudEvents, as it came: what `readForeign` is shown. */
export interface RawMessage {
  /** Where it was sent, as its transport names places; over RabbitMQ `<exchange>/<routing key>`, or the queue when it was sent right there. */
  readonly address: string;
  /** Its headers that are texts, and what else the transport tells of it (RabbitMQ: `message-id`, `correlation-id`, `type`, …; Kafka: `kafka-record`, which is `<topic>/<partition>/<offset>`, and `kafka-key`). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a message that is no CloudEvents means. */
export interface ForeignMessage {
  /** The same for every repeat of a message, and for no other message of this source: `@Idempotent` goes by it. */
  id: string;
  /** Name of the producer. */
  source: string;
  /** The type its class declares in `@Message`. */
  type: string;
  /** Ordering key; default: none. */
  key?: string;
  /** When it was published; default: when it came. */
  time?: Date;
  /** Application headers; default: those it came with. */
  headers?: Readonly<Record<string, string>>;
  /** In version 1 of its type; an object for a message class, any JSON where no class stands for the type. */
  data: unknown;
}

/**
 * Reads what other producers send. It sees only messages that are no CloudEvents.
 *
 * @returns undefined for what it does not know, which is parked as an invalid message, as is what it throws at
 */
export type ReadForeign = (raw: RawMessage) => ForeignMessage | undefined;

/** Attributes and body as `readForeign` makes them. @throws HF_MESSAGE_FOREIGN with the reason, whatever it does */
export function mapForeign(
  raw: RawMessage,
  readForeign: ReadForeign | undefined,
  receivedAt: string,
): { readonly attributes: Attributes; readonly body: Buffer } {
  const unread = (reason: string, cause?: unknown) => hfError('HF_MESSAGE_FOREIGN', { address: raw.address, reason }, { cause });
  if (readForeign === undefined) throw unread('it has no attributes of CloudEvents, and the bus has no readForeign');
  let read: unknown;
  try {
    read = readForeign(raw);
  } catch (error) {
    throw unread(`readForeign threw: ${printable(error)}`, error);
  }
  const isPromise = isDroppedPromise(read);
  if (read === undefined) throw unread('readForeign does not know it');
  if (typeof read !== 'object' || read === null || Array.isArray(read) || typeof readProperty(read, 'then') === 'function')
    throw unread(`readForeign gave ${isPromise ? 'a promise' : printable(read)}, not { id, source, type, data }`);
  try {
    return written(read as ForeignMessage, raw, receivedAt);
  } catch (error) {
    throw unread(`what readForeign gave cannot be used: ${printable(error)}`, error);
  }
}

function written(read: ForeignMessage, raw: RawMessage, receivedAt: string): { readonly attributes: Attributes; readonly body: Buffer } {
  const { id, source, type, key, time, headers = raw.headers, data } = read;
  const text: string | undefined = JSON.stringify(data);
  if (text === undefined) throw new TypeError('it has no data');
  if (time !== undefined && !(time instanceof Date)) throw new TypeError(`time is no Date: ${printable(time)}`);
  const attributes: Attributes = { id, source, type, partitionkey: key, time: time?.toISOString() ?? receivedAt, headers };
  return { attributes, body: Buffer.from(text) };
}
