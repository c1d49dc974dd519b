import type { DeadLetterReason } from '@holdfast/core';
import type { OutgoingRecord, ReceivedRecord } from './client.port.js';
import { DEAD, DEAD_ADDRESS } from './wire.js';

/** Of a stack, in characters. */
const STACK_LENGTH = 4096;

/** A record as it came, with the reason why it was given up in headers, for the topic of dead letters. */
export function deadLetterOf(
  record: ReceivedRecord,
  { attempts, failure, at, subscription }: DeadLetterReason,
  topic: string,
): OutgoingRecord {
  const { key, value, headers, partition, offset } = record;
  const own = Object.entries(headers).filter(([name]) => !name.startsWith(DEAD) || name === DEAD_ADDRESS);
  const reasons = {
    subscription,
    topic: record.topic,
    partition,
    offset,
    at: at.toISOString(),
    attempts,
    code: failure.code,
    reason: failure.message,
    fingerprint: failure.fingerprint,
    ...(failure.stack === undefined ? {} : { stack: failure.stack.slice(0, STACK_LENGTH) }),
  };
  const told = Object.entries(reasons).map(([name, text]) => [`${DEAD}${name}`, Buffer.from(String(text))]);
  return {
    topic,
    key,
    value,
    headers: { [DEAD_ADDRESS]: Buffer.from(record.topic), ...Object.fromEntries(own), ...Object.fromEntries(told) },
  };
}
