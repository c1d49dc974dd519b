import type { Outgoing } from '../bus/outgoing.js';
import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import { growingWaitsMs } from '../time/growing-waits.js';
import type { HandOver } from '../transport/transport.port.js';
import { KAFKA_UNIT, KafkaUnit, type KafkaUnits } from '../unit-of-work/kafka-unit.js';
import { runAfterHooks } from '../unit-of-work/unit-hooks.js';
import { tellGivenUp, tellRefused } from './given-up.js';
import { HandlerCall } from './handler-call.js';
import { nextAttempt } from './next-attempt.js';
import { MOST_RETURNS } from './in-process-handling.js';
import type { BrokerTransaction, DeadLetterReason, Intake, Lease } from './intake.port.js';
import { LEASE_MS } from './lease-term.js';
import { openMessages } from './open-message.js';
import { isReadable, nameOf, type OpenedMessage, type ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './handling-context.js';
import type { MessageHandling } from './message-handling.js';
import { decideFailure } from './refusal-rule.js';
import { type CallOf, runHandlers } from './run-handlers.js';
import type { Subscription } from './subscription.js';

/** What handling in Kafka transactions needs. */
export interface KafkaHandlingContext extends HandlerCallContext {
  readonly units: KafkaUnits<Outgoing>;
  /** Told of what is committed. */
  readonly committed: (messages: readonly Outgoing[]) => void;
}

/** Messages in hand. */
interface Hand {
  readonly intake: Intake;
  readonly lease: Lease;
}

/** How a message is given up; `refused`: its handler has said no, and whoever asked is to know. */
interface Failure {
  readonly attempts: number;
  readonly error: unknown;
  readonly refused?: ReadableMessage;
}

/** An attempt that failed by itself; that of the broker is thrown, and is no attempt. */
type Failed = { readonly error: unknown } | undefined;

/**
 * Handles messages in Kafka transactions: what handlers publish and how far was consumed are one commit, with the dead letters. A batch that fails is undone and
 * handled one by one, so that only the bad message pays. Retries are in this process, and what comes behind waits; a process that dies leaves the message to
 * the next one, with fresh attempts; the transport counts how often that was.
 */
export class KafkaHandling implements MessageHandling {
  constructor(
    private readonly context: KafkaHandlingContext,
    private readonly subscription: Subscription,
  ) {}

  async handle(intake: Intake, limit = this.subscription.spec.batchSize): Promise<HandOver> {
    try {
      const count = await this.next(intake, limit);
      if (count === 'none') return 'idle';
      // Each is looked for again: those before it are consumed by then.
      for (let left = count; left > 0; left -= 1) await this.next(intake, 1);
      return 'worked';
    } catch (error) {
      const isExpected =
        classify(error).category === 'cancelled' || this.context.inHand.isGivenUp || isHoldfastError(error, 'HF_LEASE_LOST');
      const subscription = this.subscription.spec.name;
      if (!isExpected) this.context.logger.warn('messages could not be dealt with; it is tried again', { subscription, error });
      return 'blocked';
    }
  }

  /** Deals with the next ones. Resolves with how many of them have to be handled one by one. */
  private async next(intake: Intake, limit: number): Promise<number | 'none'> {
    const lease = await intake.lease(limit, LEASE_MS);
    if (lease === undefined) return 'none';
    const opened = await openMessages(this.context, this.subscription, lease.messages);
    const [first] = opened;
    if (opened.length > 1) return (await this.together({ intake, lease }, opened)) ? 0 : opened.length;
    if (first !== undefined) await this.alone({ intake, lease }, first);
    return 0;
  }

  /** False when one of them failed. */
  private async together(hand: Hand, opened: readonly OpenedMessage[]): Promise<boolean> {
    const dead = opened.flatMap((message) => (isReadable(message) ? [] : [this.deadOf(message, 0, message.error)]));
    const calls = opened.filter(isReadable).map((message) => ({ message, call: this.callOf(message, 0) }));
    const failed = await this.attempt(hand.intake, calls, { consumed: hand.lease.messages, dead });
    if (failed !== undefined) return false;
    for (const message of opened) if (!isReadable(message)) this.tell(message, 0, message.error);
    return true;
  }

  /** Stays with one until it has ended. */
  private async alone(hand: Hand, first: OpenedMessage): Promise<void> {
    if (!isReadable(first)) return this.putAway(hand, first, { attempts: 0, error: first.error });
    let message = first;
    const { timesReturned = 0 } = message.incoming;
    if (timesReturned > MOST_RETURNS) {
      const error = hfError('HF_HANDLER_UNSETTLED_OFTEN', { subscription: this.subscription.spec.name, times: timesReturned });
      return this.putAway(hand, message, { attempts: 0, error });
    }
    const { random, failures } = this.context;
    const consumed = { consumed: [message.incoming], dead: [] };
    for (let attempt = 1; ; attempt += 1) {
      const call = this.callOf(message, attempt - 1);
      const failed = await this.attempt(hand.intake, [{ message, call }], consumed);
      if (failed === undefined) return;
      const { error } = failed;
      const decision = decideFailure({ subscription: this.subscription, message }, { error, attempt }, random);
      if (decision.kind === 'refused') return this.putAway(hand, message, { attempts: attempt, error, refused: decision.request });
      failures.failed(nameOf(message), error);
      if (decision.kind === 'dead') return this.putAway(hand, message, { attempts: attempt, error });
      const { delayMs } = decision;
      const opened = await nextAttempt(this.context, this.subscription, { lease: hand.lease, message, call, error, delayMs });
      if (!isReadable(opened)) return this.putAway(hand, opened, { attempts: attempt, error: opened.error });
      message = opened;
    }
  }

  private async attempt(intake: Intake, calls: readonly CallOf[], ends: Pick<BrokerTransaction, 'consumed' | 'dead'>): Promise<Failed> {
    const unit = new KafkaUnit<Outgoing>(this.subscription.transport);
    const startedMs = this.context.clock.monotonicMs();
    const facts = () => ({ dataSource: KAFKA_UNIT, durationMs: this.context.clock.monotonicMs() - startedMs });
    let isCommitting = false;
    try {
      await this.inUnit(unit, calls);
      isCommitting = true;
      await this.commit(intake, unit, ends);
    } catch (error) {
      unit.end();
      // That of another unit, which a handler let through, says nothing of this one.
      if (isCommitting && isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN')) {
        emit('unit:commit-unknown', () => ({ ...facts(), error }));
        throw error;
      }
      emit('unit:rolled-back', () => ({ ...facts(), error }));
      await this.runAfter(unit, 'afterRollback', error);
      if (error instanceof OfTheBroker) throw error.cause;
      if (classify(error).category === 'cancelled') throw error;
      return { error };
    }
    emit('unit:committed', () => ({ ...facts(), messages: unit.messages.length }));
    for (const { call } of calls) call.succeeded();
    this.context.committed(unit.messages);
    await this.runAfter(unit, 'afterCommit');
    return undefined;
  }

  /** Runs the handlers; their answers are published with all else. */
  private async inUnit(unit: KafkaUnit<Outgoing>, calls: readonly CallOf[]): Promise<void> {
    const { units, replies, scheduler } = this.context;
    const { timeoutMs } = this.subscription.spec.transaction as { readonly timeoutMs: number };
    const work = units.run(unit, async () => {
      await runHandlers(calls);
      for (const { message, call } of calls)
        if (message.envelope.replyTo !== undefined)
          await replies.give(message.envelope, replies.answerWith(message.envelope.type, call.value), this.subscription.transport);
      await unit.runBefore();
    });
    await new Promise<void>((resolve, reject) => {
      const timer = scheduler.after(timeoutMs, () => {
        const reason = hfError('HF_UOW_TIMEOUT', { timeoutMs, dataSource: KAFKA_UNIT });
        unit.end(reason);
        for (const { call } of calls) call.abort(reason);
        reject(reason);
      });
      work.then(resolve, reject).finally(() => timer.cancel());
    });
    unit.end();
  }

  /** What the broker will not have is a failure of who published it; all else is none. */
  private async commit(
    intake: Intake,
    { messages }: KafkaUnit<Outgoing>,
    ends: Pick<BrokerTransaction, 'consumed' | 'dead'>,
  ): Promise<void> {
    try {
      await intake.transact?.({ ...ends, published: messages.map(({ envelope }) => envelope) });
    } catch (error) {
      throw isTheirs(error) || isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN') ? error : new OfTheBroker(error);
    }
  }

  /**
   * Puts a message away, or answers it where its handler has refused it. Stays with it until that is done, it is not ours any more, or stopping cannot wait: its
   * handler must not run again meanwhile. If the broker rejects what is published with it, a refusal becomes a dead letter; a dead letter is tried in turn with
   * and without its answer, because either may be what is rejected. Without it whoever asked runs into its time-out, and the message has its end.
   */
  private async putAway(hand: Hand, message: OpenedMessage, end: Failure): Promise<void> {
    const { scheduler, inHand, logger, replies, units, failures } = this.context;
    const subscription = this.subscription.spec.name;
    const { attempts, error } = end;
    let { refused } = end;
    let unit = new KafkaUnit<Outgoing>(this.subscription.transport);
    await units.run(unit, () => replies.refuse(message, error, this.subscription));
    let other = new KafkaUnit<Outgoing>(this.subscription.transport);
    for (const waitMs of growingWaitsMs()) {
      try {
        const dead = refused === undefined ? [this.deadOf(message, attempts, error)] : [];
        await this.commit(hand.intake, unit, { consumed: [message.incoming], dead });
        break;
      } catch (thrown) {
        const failure = thrown instanceof OfTheBroker ? thrown.cause : thrown;
        if (classify(failure).category === 'cancelled' || isHoldfastError(failure, 'HF_LEASE_LOST')) throw failure;
        const what = refused === undefined ? 'a dead letter could not be put away' : 'a refusal could not be answered';
        logger.warn(`${what}; it is tried again`, { subscription, error: failure });
        if (isTheirs(failure) && refused !== undefined) {
          failures.failed(nameOf(message), failure);
          refused = undefined;
          unit = other;
        } else if (isTheirs(failure)) [unit, other] = [other, unit];
        await scheduler.sleep(waitMs, inHand.signal);
        await hand.lease.renew();
      }
    }
    this.context.committed(unit.messages);
    if (refused === undefined) this.tell(message, attempts, error);
    else tellRefused(this.context, refused, { subscription, attempts, error });
  }

  private callOf(message: ReadableMessage, attempts: number): HandlerCall {
    const { incoming } = message;
    const isRedelivery = incoming.isRedelivery || attempts > 0;
    return new HandlerCall(this.context, this.subscription, { ...message, incoming: { ...incoming, attempts, isRedelivery } });
  }

  private deadOf({ incoming }: OpenedMessage, attempts: number, error: unknown): BrokerTransaction['dead'][number] {
    const reason: DeadLetterReason = {
      subscription: this.subscription.spec.name,
      attempts,
      failure: describeFailure(error),
      at: this.context.clock.now(),
    };
    return { message: incoming, reason };
  }

  private tell(message: OpenedMessage, attempts: number, error: unknown): void {
    tellGivenUp(this.context.logger, message, {
      subscription: this.subscription.spec.name,
      attempts,
      error,
      keeper: 'is a dead letter of the broker',
    });
  }

  private runAfter(unit: KafkaUnit<Outgoing>, name: 'afterCommit' | 'afterRollback', error?: unknown): Promise<void> {
    return this.context.units.outside(() => runAfterHooks(unit.after(name, error), name, this.context));
  }
}

/** The broker will not have what is published. */
function isTheirs(error: unknown): boolean {
  return isHoldfastError(error, 'HF_PUBLISH_FAILED') || isHoldfastError(error, 'HF_COMMAND_UNROUTABLE');
}

/** It is no attempt of the message: it will be handled again. */
class OfTheBroker extends Error {
  constructor(override readonly cause: unknown) {
    super('the broker has not committed');
  }
}
