import type { Subscription } from '../delivery/subscription.js';
import { hfError } from '../errors/catalogue.js';
import type { InboxStore } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import { type Answer, keptText, refusalFor } from '../reply/answer.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { keepMsOf, memoryPolicyOf } from './message-memory.js';
import { isStepRequest } from './undo-rules.js';

/**
 * Nobody bounds the age of a saga's request where no handler undoes it: a copy may lie with what is parked, or a dead letter of an earlier attempt may be redriven. Its saga
 * believes that it never happens, so its refusal is remembered for longer than anybody keeps those.
 */
const REFUSAL_KEPT_MS = 365 * 86_400_000;

/** What a handler refused, and how. */
export interface RefusedRequest {
  readonly subscription: Pick<Subscription, 'spec' | 'idempotency' | 'undoes' | 'isUndoable' | 'limits'>;
  readonly envelope: Envelope;
  readonly error: unknown;
}

/**
 * The answer to a request that its handler refused; where that is remembered, repeats of it get the same. What a saga asked for and was begun outside any transaction may have had its effect, whatever
 * its handler says: its refusal is not remembered, and it is called again when it is asked again.
 *
 * **Guarantee:** with the commit of `tx` a request whose refusal is remembered never runs any more, for as long as that is. The answer to a saga is definite only then.
 *
 * @throws HF_IDEMPOTENT_IN_PROGRESS when another copy of it has ended, or is in work, or is being undone: it is looked at again then
 */
export async function refuseRequest(
  inbox: Pick<InboxStore, 'guard' | 'refuse'>,
  tx: Transaction,
  { subscription, envelope, error }: RefusedRequest,
): Promise<Answer> {
  const { limits, isUndoable, spec } = subscription;
  const policy = memoryPolicyOf(subscription, envelope);
  // A business key is that of other requests too, which are not refused with this one.
  if (policy === undefined || policy.key !== undefined) return refusalFor(error, limits);
  const { id, source } = envelope;
  const keptMs = keepMsOf(subscription, policy);
  const isOfSaga = isStepRequest(envelope);
  const keepMs = isOfSaga && !isUndoable ? Math.max(keptMs, REFUSAL_KEPT_MS) : keptMs;
  const request = { subscriptionId: spec.id as number, key: { source, id }, keepMs };
  const memory = await inbox.guard(tx, request);
  if (memory === 'begun') return refusalFor(error, limits);
  if (memory !== 'none') throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: id });
  const answer = refusalFor(error, limits, isOfSaga);
  await inbox.refuse(tx, { ...request, result: keptText(answer) as string });
  return answer;
}
