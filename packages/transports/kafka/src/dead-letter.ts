import type { DeadLetterReason } from '@holdfast/core';
import type { OutgoingRecord, ReceivedRecord } from './client.port.js';
import { DEAD, DEAD_ADDRESS } from './wire.js';

/** Of a stack, in characters. */
const STACK_LENGTH = 4096;

/** Of each part of a record that is put away without its data, in bytes, or characters. */
const SHORT = 1024;
/** Headers that say which message it is. */
const KEPT = ['ce_id', 'ce_source', 'ce_type', 'ce_time'];

/** A record as it came, with the reason why it was given up in headers, for the topic of dead letters. */
export function deadLetterOf(record: ReceivedRecord, reason: DeadLetterReason, topic: string): OutgoingRecord {
  const { key, value, headers } = record;
  const own = Object.entries(headers).filter(([name]) => !name.startsWith(DEAD) || name === DEAD_ADDRESS);
  return { topic, key, value, headers: { [DEAD_ADDRESS]: Buffer.from(record.topic), ...Object.fromEntries(own), ...told(record, reason) } };
}

/**
 * What is put away of a record when its topic of dead letters does not take it as it came: why, and where it is. It has no data, and of its headers those that
 * say which message it is.
 */
export function shortDeadLetterOf(record: ReceivedRecord, reason: DeadLetterReason, topic: string): OutgoingRecord {
  const { key, value, headers } = record;
  const known = Object.entries(headers).filter(([name, each]) => KEPT.includes(name) && isShort([each].flat().at(-1)));
  const leftOut = `${value?.byteLength ?? 0} bytes of data: this topic does not take the record as it was; it stays where it came from, until that is deleted`;
  const { failure } = reason;
  const short = { ...reason, failure: { ...failure, message: failure.message.slice(0, SHORT), stack: undefined } };
  const all = { [DEAD_ADDRESS]: Buffer.from(record.topic), ...Object.fromEntries(known), ...told(record, short) };
  return { topic, key: isShort(key) ? key : null, value: null, headers: { ...all, [`${DEAD}left-out`]: Buffer.from(leftOut) } };
}

function told(record: ReceivedRecord, { attempts, failure, at, subscription }: DeadLetterReason): Readonly<Record<string, Buffer>> {
  const { partition, offset } = record;
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
  return Object.fromEntries(Object.entries(reasons).map(([name, text]) => [`${DEAD}${name}`, Buffer.from(String(text))]));
}

function isShort(bytes: Buffer | null | undefined): boolean {
  return (bytes?.byteLength ?? 0) <= SHORT;
}
