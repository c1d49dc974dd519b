import type { DeadLetterReason } from '@holdfast/core';
import type { OutgoingMessage, ReceivedMessage } from './client.port.js';
import { DEAD, DEAD_ADDRESS, encoded } from './wire.js';

/** Of a stack, in characters; properties have little room. */
const STACK_LENGTH = 2048;
/** Of any other of them. */
const TEXT_LENGTH = 1024;

/** A message as it came, with the reason why it was given up in properties, for the topic of dead letters, which keeps no order. */
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
    ...(failure.stack === undefined ? {} : { stack: failure.stack.slice(0, STACK_LENGTH) }),
  };
  const told = Object.entries(reasons).map(([name, text]): [string, string] => [`${DEAD}${name}`, encoded(String(text))]);
  const bytes = Buffer.from(body);
  // What somebody else sent may have no body, which RocketMQ does not take.
  return {
    topic,
    group: undefined,
    body: bytes.byteLength === 0 ? Buffer.alloc(1) : bytes,
    properties: new Map([[DEAD_ADDRESS, from], ...own, ...told]),
    keys: [],
  };
}
