import { type DeadLetterReason, hfError } from '@holdfast/core';
import type { ConsumeMessage, Options } from 'amqplib';
import type { Publisher } from './publisher.js';
import { addressOf, DEAD, DEAD_ADDRESS } from './wire.js';

/** What RabbitMQ would act on: a copy to somebody else. */
const ACTING = new Set(['CC', 'BCC']);
/** Of a stack, in characters: the headers of a message share 64 KiB. */
const STACK_LENGTH = 4096;
/** Its own headers may take so much of it, written as JSON. */
const LARGEST_HEADERS = 48 * 1024;
/** Of those that are more than that together, the ones that stay. */
const SMALL_HEADER = 1024;
/** Names of headers that are told, of those that did not stay. */
const TOLD_NAMES = 20;
/** Of a name in a table, and of a property. */
const NAME_BYTES = 255;
/** Tables and lists in others, at most: amqplib goes down into them by recursion. */
const MOST_DEPTH = 32;
/** First number that 63 bits do not hold, and first one that amqplib takes for whole. */
const WHOLE = 2 ** 63;
const FRACTION = 2 ** 50;

/** A message that is to be put into a dead-letter queue. */
export interface DeadLetterParcel {
  readonly message: ConsumeMessage;
  /** Name of the dead-letter queue. */
  readonly queue: string;
  readonly reason: DeadLetterReason;
}

/**
 * Puts a message as it came, with the reason in headers, into a dead-letter queue, and waits for the broker's confirm. Rejecting it would be simpler, but
 * has no room for a reason and may lose it on the way.
 *
 * @throws HF_BROKER_DEAD_LETTER when it is not known to be there
 */
export async function putDeadLetter(publisher: Publisher, { message, queue, reason }: DeadLetterParcel): Promise<void> {
  const options = deadLetterOptions(message, reason);
  const outcome = await publisher.put({ exchange: '', routingKey: queue, content: message.content, options });
  if (outcome !== 'confirmed') throw hfError('HF_BROKER_DEAD_LETTER', { subscription: reason.subscription, queue, outcome });
}

/** Its own properties, without those that would make the broker throw it away or refuse it, and the reason. */
export function deadLetterOptions(message: ConsumeMessage, { attempts, failure, at, subscription }: DeadLetterReason): Options.Publish {
  const { properties } = message;
  // A time to live would end it where it is to wait for a person; the user has to be the one of this connection.
  const { expiration: _ttl, userId: _user, headers, clusterId: _cluster, deliveryMode: _mode, ...rest } = properties;
  const told = Object.entries(rest).filter(([name, value]) =>
    name === 'timestamp' ? isTime(value) : typeof value !== 'string' || isName(value),
  );
  const own = Object.entries((headers ?? {}) as Headers).filter(([name]) => !ACTING.has(name) && !name.startsWith(DEAD));
  return {
    ...(Object.fromEntries(told) as Options.Publish),
    persistent: true,
    mandatory: true,
    headers: {
      ...thatFit(Object.fromEntries(own)),
      [DEAD_ADDRESS]: addressOf(message),
      [`${DEAD}subscription`]: subscription,
      [`${DEAD}at`]: at.toISOString(),
      [`${DEAD}attempts`]: attempts,
      [`${DEAD}code`]: failure.code,
      [`${DEAD}reason`]: failure.message,
      [`${DEAD}fingerprint`]: failure.fingerprint,
      ...(failure.stack === undefined ? {} : { [`${DEAD}stack`]: failure.stack.slice(0, STACK_LENGTH) }),
    },
  };
}

type Headers = Readonly<Record<string, unknown>>;

/** All headers that can be sent; of too many bytes the small ones, and of too many of those none. The names of some that are missing are told. */
function thatFit(headers: Headers): Headers {
  const all = Object.entries(headers).filter(([name, value]) => isName(name) && isSendable(value));
  const small = all.filter((entry) => bytesOf(entry) <= SMALL_HEADER);
  const kept = [all, small, []].map((each) => Object.fromEntries(each)).find((each) => bytesOf(each) <= LARGEST_HEADERS) as Headers;
  const missing = Object.keys(headers).filter((name) => !Object.hasOwn(kept, name));
  if (missing.length === 0) return kept;
  return { ...kept, [`${DEAD}left-out`]: `${missing.length}: ${missing.slice(0, TOLD_NAMES).join(', ')}`.slice(0, SMALL_HEADER) };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** A name that was no UTF-8 is longer than it came. */
function isName(text: string): boolean {
  return Buffer.byteLength(text) <= NAME_BYTES;
}

/** Whether amqplib writes what it has read: not every table that it takes for a time or a number of its own is one, and some have what no table has. */
function isSendable(value: unknown, depth = 0): boolean {
  if (typeof value === 'number') return isSendableNumber(value);
  if (typeof value !== 'object') return typeof value === 'string' || typeof value === 'boolean';
  if (value === null || ArrayBuffer.isView(value)) return true;
  if (depth === MOST_DEPTH) return false;
  if (Array.isArray(value)) return value.every((each) => isSendable(each, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  if (Object.hasOwn(value, '!')) return isSendableMark(value as Mark);
  return Object.entries(value).every(([name, each]) => isName(name) && isSendable(each, depth + 1));
}

/** What it does not take for a fraction it writes as a whole number of 64 bits. */
function isSendableNumber(value: number): boolean {
  return value >= -WHOLE && (Number.isInteger(value) || Math.abs(value) < FRACTION);
}

/** How amqplib tells of what JavaScript has no type for. */
interface Mark {
  readonly '!': unknown;
  readonly value?: unknown;
}

function isSendableMark({ '!': kind, value }: Mark): boolean {
  if (kind === 'timestamp') return isTime(value);
  if (kind !== 'decimal') return false;
  const { places, digits } = (value ?? {}) as Readonly<Record<string, unknown>>;
  return [places, digits].every((each) => Number.isInteger(each)) && isWithin(places, 8) && isWithin(digits, 32);
}

/** Whether 64 bits hold it: of the last ones that AMQP has, amqplib reads the first number behind them all, and cannot write that. */
function isTime(value: unknown): boolean {
  return Number.isInteger(value) && isWithin(value, 64);
}

function isWithin(value: unknown, bits: number): boolean {
  return (value as number) >= 0 && (value as number) < 2 ** bits;
}
