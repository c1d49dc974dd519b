import type { Delivery } from '../delivery/delivery.js';
import { idempotencyKeyOf, isExpired } from '../delivery/idempotency-key.js';
import type { ReadableMessage } from '../delivery/opened-message.js';
import type { IdempotencyPolicy } from '../delivery/idempotency-policy.js';
import type { Subscription } from '../delivery/subscription.js';
import { idempotencyOf } from '../delivery/idempotency-policy.js';
import { hfError } from '../errors/catalogue.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import type { Clock } from '../time/clock.js';
import { isStepRequest } from './undo-rules.js';
import { sagaOf } from './undone-step.js';

/** What is remembered of a step, and of what undoes it, is kept for longer than it counts, because the clocks of publishers differ. */
const CLOCKS_MS = 86_400_000;

/** How the requests of sagas are remembered where the handler does not say. */
const OF_REQUESTS = idempotencyOf({ onExpired: 'handle' });

/** How a message is remembered: as its subscription says, and the request of a saga always, because its saga may want to know whether it ran. */
export function memoryPolicyOf({ idempotency }: Pick<Subscription, 'idempotency'>, envelope: Envelope): IdempotencyPolicy | undefined {
  return idempotency ?? (isStepRequest(envelope) ? OF_REQUESTS : undefined);
}

/** How long the memory of a message is kept. */
export function keepMsOf({ undoes, isUndoable }: Pick<Subscription, 'undoes' | 'isUndoable'>, { ttlMs }: IdempotencyPolicy): number {
  return undoes !== undefined || isUndoable ? ttlMs + CLOCKS_MS : ttlMs;
}

/** What a message is remembered by. Whoever undoes a request does it once for each request, under whatever id he is asked to. */
export function memoryKeyOf(
  { undoes }: Pick<Subscription, 'undoes'>,
  message: ReadableMessage,
  { policy, delivery }: { readonly policy: IdempotencyPolicy; readonly delivery: Delivery },
): InboxKey {
  const { source, compensates } = message.envelope;
  return undoes !== undefined && compensates !== undefined ? { source, id: compensates } : idempotencyKeyOf(policy, message, delivery);
}

/** Why a message is not handled because of its age; undefined: it is. Of the request of a saga nobody can say that it is still wanted. */
export function expiredError(
  { idempotency, isUndoable, undoes, spec }: Pick<Subscription, 'idempotency' | 'isUndoable' | 'undoes' | 'spec'>,
  message: ReadableMessage,
  clock: Clock,
): Error | undefined {
  const { envelope, incoming } = message;
  if (idempotency === undefined) return undefined;
  const isRequest = isUndoable && isStepRequest(envelope);
  const judged = isRequest ? { envelope, incoming: { ...incoming, hasConsent: false } } : message;
  if (!isExpired(judged, idempotency, clock)) return undefined;
  const { ttlMs } = idempotency;
  const { id, sagaId, compensates } = envelope;
  const time = envelope.time.toISOString();
  if (isRequest) return hfError('HF_REQUEST_EXPIRED', { id, sagaId, time, ttlMs });
  if (undoes !== undefined && compensates !== undefined && envelope.hasRun !== true)
    return hfError('HF_COMPENSATION_EXPIRED', {
      subscription: spec.name,
      request: compensates,
      sagaId: sagaOf(envelope),
      step: undoes.name,
      ttlMs,
    });
  return hfError('HF_IDEMPOTENT_EXPIRED', { time, ttlMs });
}
