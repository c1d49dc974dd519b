import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import type { ClaimTerm } from '../inbox/inbox.store.port.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { HandOver } from '../transport/transport.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitOptions } from '../unit-of-work/unit-of-work.js';
import { type Answer, answerFrom, keptText } from '../reply/answer.js';
import { Answering } from './answering.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import { FailureRecorder } from './failure-recorder.js';
import { HandlerCall } from './handler-call.js';
import { idempotencyKeyOf, isExpired } from './idempotency-key.js';
import type { Intake } from './intake.port.js';
import { KeptLease, Renewal } from './kept-lease.js';
import { KeyGate, keyRuleOf } from './key-gate.js';
import { LEASE_MS } from './lease-term.js';
import { isReadable, openMessage, type OpenedMessage, type ReadableMessage, succeeded } from './opened-message.js';
import type { PipelineContext } from './pipeline-context.js';
import type { Subscription } from './subscription.js';

const FRAMEWORK_UNIT: UnitOptions = { propagation: 'REQUIRES_NEW', isolation: 'READ COMMITTED', timeout: '1m' };

/**
 * Handles messages outside any transaction, for handlers that call the outside world: the place is leased while the handler runs and moves
 * after it. At least once; with `@Idempotent` a claim in the inbox keeps repeats away and its end is stored once.
 */
export class LeasePipeline {
  private readonly recorder: FailureRecorder;
  private readonly gate: KeyGate;
  private readonly answering: Answering;

  constructor(
    private readonly context: PipelineContext,
    private readonly subscription: Subscription,
  ) {
    this.recorder = new FailureRecorder(context, subscription);
    this.gate = new KeyGate(context.store.deliveries, subscription);
    this.answering = new Answering(context, subscription);
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
    const message = await openMessage(this.subscription, incoming);
    // One that is lost is found by `finish`; until then the handler is only told by its own time-out.
    const kept = new KeptLease(
      lease,
      this.renewal(LEASE_MS, () => lease.renew()),
    );
    try {
      const outcome = await this.deal(kept, message);
      await intake.settle(lease.messages, 'ack');
      return outcome;
    } catch (error) {
      const isCancelled = classify(error).category === 'cancelled';
      if (!isCancelled)
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
    if (lease.isSuspect) return this.putAside(lease, message);
    if (!isReadable(message)) return this.store(lease, (tx) => this.recorder.record(tx, message, message.error));
    const usedUp = this.recorder.usedUp(message);
    if (usedUp !== undefined) return this.store(lease, (tx) => this.recorder.put(tx, [usedUp]));
    if (await this.isHeldBack(lease, message)) return 'worked';
    const call = new HandlerCall(this.context, this.subscription, message);
    let answer: Answer | undefined;
    try {
      answer = await this.call(call, message);
    } catch (error) {
      if (classify(error).category === 'cancelled') throw error;
      return this.store(lease, (tx) => this.recorder.record(tx, message, error));
    }
    failpoint('lease:after-handler');
    const outcome = await this.succeed(lease, message, answer);
    call.succeeded();
    return outcome;
  }

  private async succeed(lease: KeptLease, message: ReadableMessage, answer: Answer | undefined): Promise<HandOver> {
    const isAsked = answer !== undefined && message.envelope.replyTo !== undefined;
    const { envelope } = message;
    if (!lease.hasStored && !isAsked && !envelope.wantsReceipt) await lease.finish(undefined);
    else
      await this.store(lease, async (tx) => {
        if (lease.hasStored) await this.context.store.deliveries.close(tx, keyRuleOf(this.subscription), [succeeded(message)]);
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

  /** Runs the handler, under a claim when it is idempotent; the answer of a command, for a repeat the one that it was first given. */
  private async call(call: HandlerCall, message: ReadableMessage): Promise<Answer | undefined> {
    const { idempotency, spec } = this.subscription;
    if (idempotency === undefined) {
      await call.run();
      return this.answering.answerOf({ message, call });
    }
    const { inbox } = this.context.store;
    const key = idempotencyKeyOf(idempotency, message, call.delivery);
    const claim = await inbox.claim({ subscriptionId: spec.id as number, key, leaseMs: idempotency.lockTtlMs, ttlMs: idempotency.ttlMs });
    if (claim.state === 'held') throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: key.id });
    if (claim.state === 'done') {
      emit('delivery:duplicate', () => call.facts());
      return answerFrom(claim.result);
    }
    failpoint('inbox:after-insert');
    const term = { subscriptionId: spec.id as number, key, token: claim.token, leaseMs: idempotency.lockTtlMs };
    return this.underClaim(term, { message, call });
  }

  private async underClaim(
    claim: ClaimTerm,
    called: { readonly message: ReadableMessage; readonly call: HandlerCall },
  ): Promise<Answer | undefined> {
    const { inbox } = this.context.store;
    const { call } = called;
    const renewal = this.renewal(
      claim.leaseMs,
      () => inbox.renew(claim),
      (error) => call.abort(error),
    );
    try {
      await call.run();
      await renewal.stop();
      const answer = this.answering.answerOf(called);
      await inbox.finish({ ...claim, done: { result: answer && keptText(answer) } });
      return answer;
    } catch (error) {
      await renewal.stop();
      await inbox.finish({ ...claim, done: undefined }).catch(() => undefined);
      throw error;
    }
  }

  /** True when the message was put aside: its key has an unfinished delivery, or it is too old to be proven new. */
  private async isHeldBack(lease: KeptLease, message: ReadableMessage): Promise<boolean> {
    const { idempotency, spec } = this.subscription;
    if (idempotency !== undefined && isExpired(message, idempotency, this.context.clock)) {
      const error = hfError('HF_IDEMPOTENT_EXPIRED', { time: message.envelope.time.toISOString(), ttlMs: idempotency.ttlMs });
      await this.store(lease, (tx) => this.recorder.put(tx, [this.recorder.dead(message, error)]));
      return true;
    }
    if (spec.ordering !== 'key' || message.incoming.deliveryId !== undefined) return false;
    return this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
      const held: DeliveryRecord[] = [];
      await this.gate.admit(tx, [message], () => held.push(this.recorder.waiting(message)));
      if (held.length === 0) return false;
      await lease.finish(tx);
      await this.context.store.deliveries.record(tx, held);
      return true;
    });
  }

  /** A process died at this place: what it may have died of is put aside, to be counted and handled alone. */
  private putAside(lease: KeptLease, message: OpenedMessage): Promise<HandOver> {
    return this.store(lease, async (tx) => {
      const key = this.subscription.spec.ordering === 'key' ? message.envelope?.key : undefined;
      const isFirst = key === undefined || (await this.gate.isFree(tx, key));
      await this.context.store.deliveries.record(tx, [this.recorder.suspect(message, isFirst)]);
    });
  }

  /** Ends the lease and writes what it came to, in one transaction. */
  private async store(lease: KeptLease, write: (tx: Transaction) => Promise<void>): Promise<HandOver> {
    await this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
      await lease.finish(tx);
      await write(tx);
    });
    this.context.onStored();
    return 'worked';
  }

  /** Renews for `termMs` at a third of it, until it is stopped. */
  private renewal(termMs: number, renew: () => Promise<void>, lost: (error: unknown) => void = () => undefined): Renewal {
    const { scheduler, logger } = this.context;
    const failed = (error: unknown) =>
      logger.warn('a lease could not be renewed; it is tried again', { subscription: this.subscription.spec.name, error });
    return new Renewal({ scheduler, ms: termMs / 3, renew, lost, failed });
  }
}
