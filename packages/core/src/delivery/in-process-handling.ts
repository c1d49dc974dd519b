import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { failpoint } from '../testing/failpoints.js';
import { growingWaitsMs } from '../time/growing-waits.js';
import type { HandOver } from '../transport/transport.port.js';
import { tellGivenUp, tellRefused } from './given-up.js';
import { HandlerCall } from './handler-call.js';
import { nextAttempt } from './next-attempt.js';
import type { DeadLetterReason, Incoming, Intake, Lease } from './intake.port.js';
import { LEASE_MS } from './lease-term.js';
import { openMessage } from './open-message.js';
import { isReadable, nameOf, type OpenedMessage, type ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './handling-context.js';
import type { MessageHandling } from './message-handling.js';
import { decideFailure } from './refusal-rule.js';
import type { Subscription } from './subscription.js';

/** A message that came back so often is what ends its processes, or may be: as many times as RabbitMQ 4 delivers one, unless told otherwise. */
export const MOST_RETURNS = 20;

/** What handling without a store needs. */
export interface InProcessContext extends HandlerCallContext {
  /** Whether the transport keeps dead letters; else the log line about one is all there is. */
  readonly keepsDeadLetters: boolean;
}

/** What a message came to: a call that ended well, or the reason to give it up; `refused`: its handler has said no, and whoever asked is to know. */
type End = { readonly done: HandlerCall } | Failed;

interface Failed {
  readonly attempts: number;
  readonly error: unknown;
  readonly refused?: ReadableMessage;
}

/**
 * Handles messages without a store. One is in hand until it ends: its retries are in this process, and what cannot be handled goes to where the
 * transport keeps dead letters. At least once: a process that dies leaves the message to the next one, with fresh attempts.
 */
export class InProcessHandling implements MessageHandling {
  constructor(
    private readonly context: InProcessContext,
    private readonly subscription: Subscription,
  ) {}

  async handle(intake: Intake): Promise<HandOver> {
    const lease = await intake.lease(1, LEASE_MS);
    const [incoming] = lease?.messages ?? [];
    if (lease === undefined || incoming === undefined) return 'idle';
    failpoint('lease:after-take');
    try {
      const message = await openMessage(this.context, this.subscription, incoming);
      const end: End = isReadable(message) ? await this.deal(lease, message) : { attempts: 0, error: message.error };
      failpoint('lease:after-handler');
      await lease.finish(undefined);
      if ('done' in end) {
        await intake.settle(lease.messages, 'ack');
        end.done.succeeded();
      } else if (end.refused !== undefined && (await this.answerRefusal(end.refused, end.error))) {
        await intake.settle(lease.messages, 'ack');
        tellRefused(this.context, end.refused, { subscription: this.subscription.spec.name, ...end });
      } else await this.giveUp(intake, { lease, message, ...end });
      failpoint('lease:after-done');
      return 'worked';
    } catch (error) {
      const isStopping = this.context.inHand.isGivenUp || classify(error).category === 'cancelled';
      if (!isStopping && !isHoldfastError(error, 'HF_LEASE_LOST'))
        this.context.logger.warn('a message could not be dealt with; it is tried again', {
          subscription: this.subscription.spec.name,
          error,
        });
      await lease.release();
      await intake.settle(lease.messages, 'requeue');
      return 'blocked';
    }
  }

  private async deal(lease: Lease, first: ReadableMessage): Promise<End> {
    let message = first;
    const { spec } = this.subscription;
    const { random, failures } = this.context;
    const { timesReturned = 0, isRedelivery } = message.incoming;
    if (timesReturned > MOST_RETURNS)
      return { attempts: 0, error: hfError('HF_HANDLER_UNSETTLED_OFTEN', { subscription: spec.name, times: timesReturned }) };
    for (let attempts = 0; ; attempts += 1) {
      const incoming: Incoming = { ...message.incoming, attempts, isRedelivery: isRedelivery || attempts > 0 };
      const call = new HandlerCall(this.context, this.subscription, { ...message, incoming });
      const failed = await this.attempt(call, message);
      if (failed === undefined) return { done: call };
      const { error } = failed;
      const decision = decideFailure({ subscription: this.subscription, message }, { error, attempt: attempts + 1 }, random);
      if (decision.kind === 'refused') return { attempts: attempts + 1, error, refused: decision.request };
      failures.failed(nameOf(message), error);
      if (decision.kind === 'dead') return { attempts: attempts + 1, error };
      const { delayMs } = decision;
      const opened = await nextAttempt(this.context, this.subscription, { lease, message, call, error, delayMs });
      if (!isReadable(opened)) return { attempts: attempts + 1, error: opened.error };
      message = opened;
    }
  }

  private async attempt(call: HandlerCall, message: ReadableMessage): Promise<{ readonly error: unknown } | undefined> {
    const { replies, failures } = this.context;
    const { envelope } = message;
    try {
      await call.run();
      // Nothing is kept here: a reply that cannot be sent is a failed attempt, and whoever asked is answered by the next.
      if (envelope.replyTo !== undefined)
        await replies.give(envelope, replies.answerWith(envelope.type, call.value), this.subscription.transport);
      failures.succeeded(nameOf(message));
      return undefined;
    } catch (error) {
      if (classify(error).category === 'cancelled') throw error;
      return { error };
    }
  }

  /** Answers with the no of a handler before the message is acknowledged: a crash in between repeats both, and loses neither. True when the broker has it. */
  private async answerRefusal(message: ReadableMessage, error: unknown): Promise<boolean> {
    const { replies, logger, failures } = this.context;
    const { spec, transport } = this.subscription;
    try {
      await replies.give(message.envelope, replies.refusalFor(error), transport);
      return true;
    } catch (failure) {
      if (classify(failure).category === 'cancelled') throw failure;
      logger.warn('a refusal could not be answered, so the message is given up', { subscription: spec.name, error: failure });
      failures.failed(nameOf(message), failure);
      return false;
    }
  }

  /** Stays with it until it is put away, is not ours any more, or stopping cannot wait: its handler must not run again meanwhile. */
  private async giveUp(
    intake: Intake,
    { lease, message, attempts, error }: { lease: Lease; message: OpenedMessage; attempts: number; error: unknown },
  ): Promise<void> {
    const { clock, scheduler, inHand, logger } = this.context;
    const subscription = this.subscription.spec.name;
    const reason: DeadLetterReason = { subscription, attempts, failure: describeFailure(error), at: clock.now() };
    for (const waitMs of growingWaitsMs()) {
      try {
        await intake.settle(lease.messages, { deadLetter: reason });
        break;
      } catch (failure) {
        logger.warn('a dead letter could not be put away; it is tried again', { subscription, error: failure });
        await scheduler.sleep(waitMs, inHand.signal);
        await lease.renew();
      }
    }
    const keeper = this.context.keepsDeadLetters ? 'is a dead letter of the broker' : 'is kept nowhere: this line is all there is of it';
    tellGivenUp(logger, message, { subscription, attempts, error, keeper });
    // Whoever asked may run into its time-out; the message has its end.
    const failed = (failure: unknown) =>
      logger.warn('a requester could not be told that its command was given up', { subscription, error: failure });
    await this.context.replies.refuse(message, error, this.subscription).catch(failed);
  }
}
