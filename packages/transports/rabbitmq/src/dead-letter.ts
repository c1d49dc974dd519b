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
  const own = Object.entries((headers ?? {}) as Headers).filter(([name]) => !ACTING.has(name) && !name.startsWith(DEAD));
  return {
    ...(rest as Options.Publish),
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

/** All headers; of too many bytes the small ones, and of too many of those none. The names of some that are missing are told. */
function thatFit(headers: Headers): Headers {
  if (bytesOf(headers) <= LARGEST_HEADERS) return headers;
  const small = Object.fromEntries(Object.entries(headers).filter((entry) => bytesOf(entry) <= SMALL_HEADER));
  const kept = bytesOf(small) <= LARGEST_HEADERS ? small : {};
  const missing = Object.keys(headers).filter((name) => !Object.hasOwn(kept, name));
  return { ...kept, [`${DEAD}left-out`]: `${missing.length}: ${missing.slice(0, TOLD_NAMES).join(', ')}`.slice(0, SMALL_HEADER) };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? String(each) : each)));
}
