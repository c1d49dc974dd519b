import type { DeadLetterReason } from '@holdfast/core';
import type { OutgoingMessage, ReceivedMessage } from './client.port.js';
import { DEAD, DEAD_ADDRESS, encoded, MOST_PROPERTIES, PROPERTY_BYTES } from './wire.js';

/** Of a stack, in characters; properties have little room. */
const STACK_LENGTH = 2048;
/** Of any other of them. */
const TEXT_LENGTH = 1024;
/** Properties, and bytes of them, that are left free. */
const ROOM = 16;
const ROOM_BYTES = 2048;

/**
 * A message as it came, with the reason why it was given up in properties, for the topic of dead letters, which keeps no order. Properties that find no room
 * beside the reason are left out: a dead letter that is refused would be put away for ever.
 */
export function deadLetterOf(
  { body, properties, topic: from, id }: ReceivedMessage,
  { attempts, failure, at, subscription }: DeadLetterReason,
  topic: string,
): OutgoingMessage {
  const own = [...properties].filter(([name]) => !name.startsWith(DEAD) || name === DEAD_ADDRESS);
  const reasons = {
    subscription,
    topic: from,
    id,
    at: at.toISOString(),
    attempts: String(attempts),
    code: failure.code ?? '',
    reason: failure.message.slice(0, TEXT_LENGTH),
    fingerprint: failure.fingerprint,
  };
  const stack = { stack: failure.stack?.slice(0, STACK_LENGTH) ?? '' };
  const [told, further] = [reasons, stack].map((texts) =>
    Object.entries(texts).map(([name, text]): [string, string] => [`${DEAD}${name}`, encoded(String(text))]),
  ) as [[string, string][], [string, string][]];
  const bytes = Buffer.from(body);
  // What somebody else sent may have no body, which RocketMQ does not take.
  return {
    topic,
    group: undefined,
    body: bytes.byteLength === 0 ? Buffer.alloc(1) : bytes,
    properties: fitting([
      [DEAD_ADDRESS, from],
      ...told,
      ...own.map(([name, text]): [string, string] => [name, printable(text)]),
      ...further,
    ]),
    keys: [],
  };
}

/**
 * What is put away of a message when RocketMQ does not take its body again, which was sent by another client, or packed, or under another limit: why, and which message
 * it is. It stays where it came from, until that is deleted.
 */
export function shortDeadLetterOf(message: ReceivedMessage, reason: DeadLetterReason, topic: string): OutgoingMessage {
  const { body } = message;
  const leftOut = `${body.byteLength} bytes of data: RocketMQ does not take the message as it was; it stays in ${message.topic}, until that is deleted`;
  const letter = deadLetterOf({ ...message, body: new Uint8Array() }, reason, topic);
  return { ...letter, properties: fitting([[`${DEAD}left-out`, leftOut], ...letter.properties]) };
}

/** As many as a message may have, and leaves room for what RocketMQ and its client add. */
function fitting(properties: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  let bytes = 0;
  for (const [name, text] of properties) {
    const size = Buffer.byteLength(name) + Buffer.byteLength(text) + 2;
    if (kept.size >= MOST_PROPERTIES - ROOM || bytes + size > PROPERTY_BYTES - ROOM_BYTES) continue;
    kept.set(name, text);
    bytes += size;
  }
  return kept;
}

/** Producers of other protocols may send what the proxy does not take. */
function printable(text: string): string {
  return /\p{Cc}/u.test(text) ? encoded(text) : text;
}
