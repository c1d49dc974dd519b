import { isDeliberate } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { Random } from '../time/random.js';
import { isReadable, type OpenedMessage, type ReadableMessage } from './opened-message.js';
import { DEAD, type FailedAttempt, laterAttempt, mayRetry, type RetryDecision, type RetryPolicy } from './retry-policy.js';
import type { Subscription } from './subscription.js';

/** What a failed attempt at a message leads to; `refused`: the handler has said no on purpose, and whoever asked gets that as the answer. */
export type FailureDecision = RetryDecision | { readonly kind: 'refused'; readonly request: ReadableMessage };

/** Whose attempt failed. */
export interface Handled {
  readonly subscription: Pick<Subscription, 'retry' | 'isOnlyStored'>;
  readonly message: OpenedMessage;
}

/**
 * Decides what a failed attempt means. Pure but for `retryIf` of the user, which is asked once at most, and not where his word changes nothing. A refused message has come to its
 * end, and nobody has to look at it.
 *
 * A failure is no refusal when nobody waits for an answer, when a receipt was asked for (which knows no refusals), when it undoes something (which has to happen), or when
 * it is an ordinary one whose attempts are used up: that is a fault, which somebody has to mend, whoever was told of it.
 */
export function decideFailure({ subscription, message }: Handled, failed: FailedAttempt, random: Random): FailureDecision {
  const { retry, isOnlyStored } = subscription;
  const saysNo = isDeliberate(failed.error) && !isOnlyStored && isAsked(message);
  const isLast = failed.attempt >= retry.attempts;
  const isHopeless = (saysNo || !isLast) && !mayBeAttempted(retry, failed);
  if (saysNo && isHopeless) return { kind: 'refused', request: message };
  return isHopeless || isLast ? DEAD : laterAttempt(retry, failed, random);
}

/** A COMMIT whose outcome is unknown, of a unit that the handler let through: a process that had died of it would come to another attempt, too. */
function mayBeAttempted(retry: Pick<RetryPolicy, 'retryIf'>, failed: FailedAttempt): boolean {
  return mayRetry(retry, failed) || (retry.retryIf === undefined && isHoldfastError(failed.error, 'HF_UOW_COMMIT_UNKNOWN'));
}

/** Whether somebody gets a no as the answer. */
function isAsked(message: OpenedMessage): message is ReadableMessage {
  if (!isReadable(message)) return false;
  const { replyTo, compensates, wantsReceipt } = message.envelope;
  return replyTo !== undefined && compensates === undefined && !wantsReceipt;
}
