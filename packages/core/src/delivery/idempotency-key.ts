import { hfError } from '../errors/catalogue.js';
import { isDroppedPromise } from '../errors/dropped-promise.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import { unstorable } from '../message/storable.js';
import { ageMsOf } from '../participant/undo-rules.js';
import type { Clock } from '../time/clock.js';
import type { Delivery } from './delivery.js';
import type { ReadableMessage } from './opened-message.js';
import type { IdempotencyPolicy } from './idempotency-policy.js';

/** Longest business key, in characters: it is part of an index. */
export const KEY_LENGTH = 255;

/** What makes two deliveries the same: the business key, else source and message id. @throws HF_IDEMPOTENT_KEY_INVALID */
export function idempotencyKeyOf({ key }: IdempotencyPolicy, { envelope, data, late }: ReadableMessage, delivery: Delivery): InboxKey {
  if (key === undefined) return { source: envelope.source, id: envelope.id };
  if (late !== undefined) throw late;
  return businessKey(key(data, delivery), delivery.subscription);
}

/** A business key as the inbox keeps it: no source can be empty, so it never meets a message id. @throws HF_IDEMPOTENT_KEY_INVALID */
export function businessKey(value: unknown, method: string): InboxKey {
  const reason = isDroppedPromise(value) ? 'it is a promise: the key must be there at once' : unstorable(value, KEY_LENGTH);
  if (reason !== undefined) throw hfError('HF_IDEMPOTENT_KEY_INVALID', { method, value, reason, limit: KEY_LENGTH });
  return { source: '', id: value as string };
}

/** True when the message is older than repeats are remembered, so that it cannot be proven new. An operator's word is proof enough. */
export function isExpired(
  message: Pick<ReadableMessage, 'incoming' | 'envelope'>,
  { ttlMs, onExpired, key }: IdempotencyPolicy,
  clock: Clock,
): boolean {
  if (onExpired === 'handle' || message.incoming.hasConsent || key !== undefined) return false;
  return ageMsOf(message, clock) > ttlMs;
}
