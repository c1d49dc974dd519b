import { hfError, isHoldfastError, tlsReason } from '@holdfast/core';

/** What Kafka says of records that it does not take as they are, however often they are sent. */
const REFUSED = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'INVALID_TOPIC_EXCEPTION',
  'POLICY_VIOLATION',
  'TOPIC_AUTHORIZATION_FAILED',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
]);
/** What it says of a service that it does not let in. */
const NOT_LET_IN = new Set([
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'GROUP_AUTHORIZATION_FAILED',
  'TOPIC_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
]);
/** What it says of a transaction that may last longer than it allows. */
const TOO_LONG = 'INVALID_TRANSACTION_TIMEOUT';
/** What to do about that. */
const SHORTEN = "the timeout of @Transactional({ protocol: 'kafka' }) is longer than the broker's transaction.max.timeout.ms; shorten it";

/** What it says of a producer that is not the last one with its transactional id. */
const FENCED = new Set(['PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING', 'INVALID_TXN_STATE']);

/** Asking the broker again cannot help. */
const FINAL = ['HF_BROKER_REFUSED', 'HF_BROKER_TOPOLOGY', 'HF_CAPABILITY_UNSUPPORTED', 'HF_CONFIG_INVALID'] as const;

/** What a produce request came to, which the class of an error does not tell: kafkajs says NonRetriable also of a connection that was refused. */
export type ProduceFailure = 'refused' | 'no-topic' | 'unknown';

/** Tells a refusal from a failure after which nobody knows. */
export function produceFailureOf(error: unknown): ProduceFailure {
  // A topic that cannot be made, however often it is tried.
  if (isHoldfastError(error, 'HF_BROKER_TOPOLOGY')) return 'refused';
  const types = causesOf(error).map(({ type }) => String(type));
  if (types.some((type) => REFUSED.has(type))) return 'refused';
  return types.includes('UNKNOWN_TOPIC_OR_PARTITION') ? 'no-topic' : 'unknown';
}

/** The error of Holdfast that an error of a driver is. */
export function refusalIn(error: unknown, address: string): Error {
  if (isHoldfastError(error)) return error;
  const causes = causesOf(error);
  const ofTls = causes.map((cause) => tlsReason('kafka({ ssl })', cause)).find((reason) => reason !== undefined);
  const isTooLong = causes.some(({ type }) => type === TOO_LONG);
  const reason = isTooLong ? SHORTEN : (ofTls ?? (error instanceof Error ? error.message : String(error)));
  const isNotLetIn = causes.some(({ type, name }) => NOT_LET_IN.has(String(type)) || name === 'KafkaJSSASLAuthenticationError');
  return hfError(isTooLong || isNotLetIn ? 'HF_BROKER_REFUSED' : 'HF_BROKER_UNREACHABLE', { address, reason }, { cause: error });
}

/** A start ends with it at once. */
export function isFinal(error: unknown): boolean {
  return FINAL.some((code) => isHoldfastError(error, code));
}

interface Cause {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly cause?: unknown;
}

/** An error, and what it says it comes from. */
function causesOf(error: unknown): readonly Cause[] {
  const causes: Cause[] = [];
  for (let each = error as Cause | undefined; each instanceof Error && !causes.includes(each); each = each.cause as Cause | undefined)
    causes.push(each);
  return causes;
}

/** The group has taken a member out. Any other refusal of a commit, such as one of an earlier generation, is healed by what kafkajs does next. */
export function isTakenOut(error: unknown): boolean {
  // kafkajs wraps what it does not try again, and only what it has wrapped says why.
  return causesOf(error).some(({ type }) => type === 'UNKNOWN_MEMBER_ID');
}

/** It is the size that Kafka does not take: of one record, or of what was sent with it. */
export function isTooLarge(error: unknown): boolean {
  return causesOf(error).some(({ type }) => type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE');
}

/** The broker has not ended a transaction yet: the one before, or one that moves the group that is asked about. */
export function isStillEnding(error: unknown): boolean {
  return causesOf(error).some(({ type }) => type === 'CONCURRENT_TRANSACTIONS' || type === 'UNSTABLE_OFFSET_COMMIT');
}

/** Somebody else has opened the same transactional id, or the broker has ended a transaction that took too long: nothing of it is kept. */
export function isFenced(error: unknown): boolean {
  return causesOf(error).some(({ type }) => FENCED.has(String(type)));
}
