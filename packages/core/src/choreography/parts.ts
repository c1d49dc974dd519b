import type { CallOfMessage } from '../delivery/answering.js';
import { type ReadableMessage, storedForm } from '../delivery/opened-message.js';
import type { Subscription } from '../delivery/subscription.js';
import { failpoint } from '../testing/failpoints.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { ChoreographyStore, NewPart } from './choreography.store.port.js';

/** What becomes of messages whose saga may be aborted. */
export interface Recorded {
  /** To be handled. */
  readonly kept: readonly CallOfMessage[];
  /** Of aborted sagas: not to be handled. */
  readonly ofAbortedSagas: readonly CallOfMessage[];
  /** Handled before, and that is all that is remembered of it. */
  readonly repeated: readonly CallOfMessage[];
}

/** Messages, and the subscription that undoes what their handler does. */
export interface Recording {
  readonly undo: NonNullable<Subscription['undo']>;
  readonly calls: readonly CallOfMessage[];
}

/**
 * Records what the handler of a subscription is about to do for choreographed sagas, in the transaction in which it does it, and finds what comes too
 * late. Messages of no saga are handled and not recorded: nobody could abort them.
 */
export async function recordParts(store: ChoreographyStore, tx: Transaction, { undo, calls }: Recording): Promise<Recorded> {
  const ofSagas = calls.filter(({ message }) => message.envelope.sagaId !== undefined);
  const ofAbortedSagas = new Set<CallOfMessage>();
  const repeated = new Set<CallOfMessage>();
  // Sagas in one order everywhere, so that two batches wait for each other instead of deadlocking; within a saga as they came.
  for (const call of [...ofSagas].sort(bySaga)) {
    const outcome = await store.record(tx, partOf(call.message, undo.id as number));
    if (outcome === 'repeated') repeated.add(call);
    if (outcome === 'aborted') ofAbortedSagas.add(call);
  }
  if (ofSagas.length > 0) failpoint('choreography:after-record');
  if (ofAbortedSagas.size + repeated.size === 0) return { kept: calls, ofAbortedSagas: [], repeated: [] };
  const kept = calls.filter((call) => !ofAbortedSagas.has(call) && !repeated.has(call));
  return { kept, ofAbortedSagas: [...ofAbortedSagas], repeated: [...repeated] };
}

function bySaga(one: CallOfMessage, other: CallOfMessage): number {
  const [a, b] = [one.message.envelope.sagaId as string, other.message.envelope.sagaId as string];
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Whoever asked for a reply or a receipt is told by the handler, not by its undo. */
function partOf(message: ReadableMessage, subscriptionId: number): NewPart {
  const { source, id, sagaId } = message.envelope;
  const { type, attributes, body } = storedForm(message);
  const { replyto: _replyTo, receipt: _receipt, ...kept } = JSON.parse(attributes) as Record<string, unknown>;
  return { sagaId: sagaId as string, subscriptionId, message: { source, id, type, attributes: JSON.stringify(kept), body } };
}
