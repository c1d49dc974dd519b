import type { Subscription } from '../delivery/subscription.js';
import { hfError } from '../errors/catalogue.js';
import { isNonRetryableError } from '../errors/non-retryable-error.js';
import type { InboxStore } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { keepMsOf, memoryPolicyOf } from './step-memory.js';
import { isStepRequest } from './undo-rules.js';

/**
 * A handler that nobody undoes takes a redriven request however old it is, so what it refused is remembered for longer than anybody keeps its dead letter. Of
 * one that is undone a request older than its `ttl` is never handled.
 */
const REFUSAL_KEPT_MS = 365 * 86_400_000;

/** What a handler refused, and how. */
export interface RefusedRequest {
  readonly subscription: Pick<Subscription, 'spec' | 'idempotency' | 'undoes' | 'isUndoable'>;
  readonly envelope: Envelope | undefined;
  readonly error: unknown;
}

/**
 * Tells whether the request of a saga, whose handler refused it with a NonRetryableError, left nothing behind, and keeps it from running later.
 *
 * **Guarantee:** true only when nothing is remembered of the request; with the commit of `tx` it never runs any more, also when a person redrives it within a year. What was
 * begun outside any transaction may have had its effect, whatever its handler says.
 *
 * @throws HF_IDEMPOTENT_IN_PROGRESS when somebody has the request, or has just undone it: it is looked at again then
 */
export async function isRefusedForGood(
  inbox: Pick<InboxStore, 'guard'>,
  tx: Transaction,
  { subscription, envelope, error }: RefusedRequest,
): Promise<boolean> {
  if (envelope === undefined || !isStepRequest(envelope) || !isNonRetryableError(error)) return false;
  const policy = memoryPolicyOf(subscription, envelope);
  // A business key is that of other requests too, which are not refused with this one.
  if (policy === undefined || policy.key !== undefined) return false;
  const { id, source } = envelope;
  const keptMs = keepMsOf(subscription, policy);
  const keepMs = subscription.isUndoable ? keptMs : Math.max(keptMs, REFUSAL_KEPT_MS);
  const request = { subscriptionId: subscription.spec.id as number, key: { source, id }, keepMs };
  const memory = await inbox.guard(tx, request);
  if (memory === 'cancelled' || memory === 'undoing' || memory === 'compensated') throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: id });
  return memory === 'none';
}
