import { emit } from '../monitoring/events.js';
import { failureFacts, type HandlerCall } from './handler-call.js';
import type { Lease } from './intake.port.js';
import { openMessage } from './open-message.js';
import type { OpenedMessage, ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './handling-context.js';
import type { Subscription } from './subscription.js';

/** An attempt that has failed, of a message that stays in hand until it has ended. */
export interface FailedInHand {
  readonly lease: Lease;
  readonly message: ReadableMessage;
  readonly call: HandlerCall;
  readonly error: unknown;
  readonly delayMs: number;
}

/**
 * Waits for the next attempt. Gives the message for it, opened anew where its schema was late.
 *
 * @throws HF_LEASE_LOST when it is somebody else's by now: it is handled there
 */
export async function nextAttempt(
  context: HandlerCallContext,
  subscription: Subscription,
  { lease, message, call, error, ...decided }: FailedInHand,
): Promise<OpenedMessage> {
  const delayMs = Math.min(decided.delayMs, subscription.longestWaitMs);
  emit('delivery:retry-scheduled', () => ({ ...call.facts(), ...failureFacts(error), delayMs }));
  await context.scheduler.sleep(delayMs, context.inHand.signal);
  await lease.renew();
  return message.late === undefined ? message : openMessage(context, subscription, message.incoming);
}
