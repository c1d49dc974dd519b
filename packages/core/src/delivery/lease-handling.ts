import { classify } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { expiredError } from '../participant/message-memory.js';
import { failpoint } from '../testing/failpoints.js';
import { growingWaitsMs } from '../time/growing-waits.js';
import type { HandOver } from '../transport/transport.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { FRAMEWORK_UNIT } from '../unit-of-work/framework-unit.js';
import { Answering } from './answering.js';
import { type CallEnd, ClaimedCall } from './claimed-call.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import { FailureRecorder } from './failure-recorder.js';
import { HandlerCall } from './handler-call.js';
import type { Intake, Lease } from './intake.port.js';
import { KeptLease, Renewal } from './kept-lease.js';
import { KeyGate, keyRuleOf } from './key-gate.js';
import { LEASE_MS } from './lease-term.js';
import { openMessage } from './open-message.js';
import { isReadable, type OpenedMessage, type ReadableMessage, succeeded, type UnreadableMessage } from './opened-message.js';
import { OtherVersions } from './other-versions.js';
import type { HandlingContext } from './handling-context.js';
import type { MessageHandling } from './message-handling.js';
import type { Subscription } from './subscription.js';

/**
 * Handles messages outside any transaction, for handlers that call the outside world: the place is leased while the handler runs and moves
 * after it. At least once; with `@Idempotent` a claim in the inbox keeps repeats away and its end is stored once.
 */
export class LeaseHandling implements MessageHandling {
  private readonly recorder: FailureRecorder;
  private readonly gate: KeyGate;
  private readonly claimed: ClaimedCall;
  private readonly others: OtherVersions;

  constructor(
    private readonly context: HandlingContext,
    private readonly subscription: Subscription,
  ) {
    this.recorder = new FailureRecorder(context, subscription);
    this.gate = new KeyGate(context.store.deliveries, subscription);
    this.claimed = new ClaimedCall(context, subscription, new Answering(context, subscription));
    this.others = new OtherVersions(context.store.subscriptions, subscription);
  }

  async handle(intake: Intake): Promise<HandOver> {
    const lease = await intake.lease(1, LEASE_MS).catch(async (error: unknown) => {
      this.context.logger.warn('messages could not be taken; it is tried again', { subscription: this.subscription.spec.name, error });
      await intake.settle([], 'requeue');
      return 'blocked' as const;
    });
    if (lease === 'blocked') return lease;
    if (lease === undefined) return 'idle';
    failpoint('lease:after-take');
    const [incoming] = lease.messages;
    if (incoming === undefined) return 'idle';
    // One that is lost is found by `finish`; until then the handler is only told by its own time-out.
    const kept = new KeptLease(lease, this.renewalOf(lease));
    try {
      const outcome = await this.deal(kept, await openMessage(this.context, this.subscription, incoming));
      await intake.settle(lease.messages, 'ack');
      return outcome;
    } catch (error) {
      const isStopping = this.context.inHand.isGivenUp || classify(error).category === 'cancelled';
      if (!isStopping)
        this.context.logger.warn('a message could not be dealt with; it is tried again', {
          subscription: this.subscription.spec.name,
          error,
        });
      await kept.release();
      await intake.settle(lease.messages, 'requeue');
      return 'blocked';
    } finally {
      await kept.stop();
    }
  }

  private async deal(lease: KeptLease, message: OpenedMessage): Promise<HandOver> {
    if (lease.isSuspect) return this.store(lease, (tx) => this.recorder.putAside(tx, [message], this.gate));
    if (!isReadable(message)) return this.store(lease, (tx) => this.storeUnread(tx, message));
    const usedUp = this.recorder.usedUp(message);
    if (usedUp !== undefined) return this.store(lease, (tx) => this.recorder.recordUnattempted(tx, [usedUp]));
    if (await this.putAsideIfNotItsTurn(lease, message)) return 'worked';
    const call = new HandlerCall(this.context, this.subscription, message);
    let end: CallEnd;
    try {
      end = await this.claimed.make({ message, call });
    } catch (error) {
      if (isHoldfastError(error, 'HF_REQUEST_UNDONE_IN_WORK')) return this.tellLate(lease, message, error);
      if (classify(error).category === 'cancelled') throw error;
      return this.store(lease, (tx) => this.recorder.record(tx, message, error));
    }
    failpoint('lease:after-handler');
    const outcome = await this.succeed(lease, message, end);
    end.tell?.();
    if (end.isDropped !== true) call.succeeded();
    return outcome;
  }

  private async succeed(lease: KeptLease, message: ReadableMessage, { answer, isDropped }: CallEnd): Promise<HandOver> {
    const isAsked = answer !== undefined && message.envelope.replyTo !== undefined;
    const { envelope } = message;
    if (!lease.hasStored && !isAsked && !envelope.wantsReceipt) await this.insist(lease, () => lease.finish(undefined));
    else
      await this.store(lease, async (tx) => {
        if (lease.hasStored)
          await this.context.store.deliveries.close(tx, keyRuleOf(this.subscription), [{ ...succeeded(message), isDropped }]);
        if (isAsked) await this.context.replies.give(envelope, answer, this.subscription.transport);
        await this.context.receipts.give(tx, [envelope], {
          subscription: this.subscription.spec.name,
          transport: this.subscription.transport,
          status: 'consumed',
        });
      });
    failpoint('lease:after-done');
    return 'worked';
  }

  private async storeUnread(tx: Transaction, message: UnreadableMessage): Promise<void> {
    const [marked = message] = await this.others.mark(tx, [message]);
    await this.recorder.recordInTurn(tx, marked, { error: message.error, gate: this.gate });
  }

  /** Puts it aside where its key has an unfinished delivery, or it is too old to be proven new. True when it did. */
  private async putAsideIfNotItsTurn(lease: KeptLease, message: ReadableMessage): Promise<boolean> {
    const expired = expiredError(this.subscription, message, this.context.clock);
    if (expired !== undefined) {
      await this.store(lease, (tx) => this.recorder.recordUnattempted(tx, [this.recorder.dead(message, expired)]));
      return true;
    }
    if (this.subscription.spec.ordering !== 'key' || message.incoming.deliveryId !== undefined) return false;
    return this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
      const held: DeliveryRecord[] = [];
      await this.gate.admit(tx, [message], () => held.push(this.recorder.waiting(message)));
      if (held.length === 0) return false;
      await lease.finish(tx);
      await this.context.store.deliveries.record(tx, held);
      return true;
    });
  }

  /** It was undone while its handler was at it, outside any transaction: a person must see that, also where somebody else has the message by now. */
  private async tellLate(lease: KeptLease, message: ReadableMessage, error: unknown): Promise<HandOver> {
    const put = (tx: Transaction, { incoming }: ReadableMessage) =>
      this.recorder.recordUnattempted(tx, [this.recorder.dead({ ...message, incoming }, error)]);
    try {
      return await this.store(lease, (tx) => put(tx, message));
    } catch (failure) {
      if (!isHoldfastError(failure, 'HF_LEASE_LOST')) throw failure;
      const apart = { ...message, incoming: { ...message.incoming, deliveryId: undefined } };
      await this.context.runUnit(FRAMEWORK_UNIT, (tx) => put(tx, apart));
      throw failure;
    }
  }

  /** Ends the lease and writes what it came to, in one transaction. */
  private async store(lease: KeptLease, write: (tx: Transaction) => Promise<void>): Promise<HandOver> {
    await this.insist(lease, () =>
      this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
        await lease.finish(tx);
        await write(tx);
      }),
    );
    this.context.onStored();
    return 'worked';
  }

  /** Stays with an end until it is stored, is not ours any more, or stopping cannot wait: while the database is away its handler must not run again and again. */
  private async insist(lease: KeptLease, end: () => Promise<void>): Promise<void> {
    const { scheduler, inHand, logger } = this.context;
    for (const waitMs of growingWaitsMs()) {
      try {
        return await end();
      } catch (error) {
        if (isOver(error)) throw error;
        logger.warn('the end of a message could not be stored; it is tried again', { subscription: this.subscription.spec.name, error });
      }
      await scheduler.sleep(waitMs, inHand.signal);
      await lease.renew().catch((error: unknown) => {
        if (isOver(error)) throw error;
      });
    }
  }

  private renewalOf(lease: Lease): Renewal {
    const { scheduler, logger } = this.context;
    const failed = (error: unknown) =>
      logger.warn('a lease could not be renewed; it is tried again', { subscription: this.subscription.spec.name, error });
    return new Renewal({ scheduler, termMs: LEASE_MS, renew: () => lease.renew(), lost: () => undefined, failed });
  }
}

/** Whether it is not to be tried again: the message is somebody else's by now, another copy of it has ended, which is found when it is handed over again, or this process stops. */
function isOver(error: unknown): boolean {
  const isElsewhere = isHoldfastError(error, 'HF_LEASE_LOST') || isHoldfastError(error, 'HF_IDEMPOTENT_IN_PROGRESS');
  return isElsewhere || classify(error).category === 'cancelled';
}
