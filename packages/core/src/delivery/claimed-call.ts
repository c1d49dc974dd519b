import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { ClaimTerm } from '../inbox/inbox.store.port.js';
import { emit } from '../monitoring/events.js';
import { RequestGuard } from '../participant/request-guard.js';
import { keepMsOf, memoryKeyOf, memoryPolicyOf } from '../participant/message-memory.js';
import { isStepRequest } from '../participant/undo-rules.js';
import { type Answer, answerFrom, keptText } from '../reply/answer.js';
import { failpoint } from '../testing/failpoints.js';
import { FRAMEWORK_UNIT } from '../unit-of-work/framework-unit.js';
import { type Answering, DONE } from './answering.js';
import { storeSuccess } from './claim-end.js';
import { Renewal } from './kept-lease.js';
import type { HandlingContext } from './handling-context.js';
import type { CallOf } from './run-handlers.js';
import type { Subscription } from './subscription.js';

/** What a call came to. */
export interface CallEnd {
  /** What is answered; undefined for a message that is none to answer. */
  readonly answer: Answer | undefined;
  /** The message is a request that was undone or refused before: its handler was not called. */
  readonly isDropped?: boolean;
  /** What is told of it besides, when its end is committed. */
  readonly tell?: () => void;
}

/**
 * Calls handlers outside any transaction: under a claim in the inbox where the message is remembered, so that repeats do not run beside it, and get what it was
 * first answered.
 */
export class ClaimedCall {
  private readonly guard: RequestGuard;

  constructor(
    private readonly context: HandlingContext,
    private readonly subscription: Subscription,
    private readonly answering: Answering,
  ) {
    this.guard = new RequestGuard(context, subscription);
  }

  async make({ message, call }: CallOf): Promise<CallEnd> {
    const policy = memoryPolicyOf(this.subscription, message.envelope);
    if (policy === undefined) {
      await call.run();
      return { answer: this.answering.answerOf({ message, call }) };
    }
    const subscriptionId = this.subscription.spec.id as number;
    const key = memoryKeyOf(this.subscription, message, { policy, delivery: call.delivery });
    const term = { subscriptionId, key, leaseMs: policy.lockTtlMs };
    const claim = await this.context.store.inbox.claim({ ...term, ttlMs: keepMsOf(this.subscription, policy) });
    switch (claim.state) {
      case 'held':
        throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: key.id });
      case 'done':
        return { answer: answerFrom(claim.result), tell: () => emit('delivery:duplicate', () => call.facts()) };
      case 'undone': {
        const { result } = claim;
        const tell = () => {
          if (result !== undefined) emit('delivery:duplicate', () => call.facts());
          this.answering.tellDropped({ message, call }, result);
        };
        return { answer: this.answering.answerToDropped(message, result), isDropped: true, tell };
      }
      case 'claimed':
        failpoint('inbox:after-insert');
        return this.underClaim({ ...term, token: claim.token }, { message, call });
    }
  }

  private async underClaim(claim: ClaimTerm, called: CallOf): Promise<CallEnd> {
    const { inbox } = this.context.store;
    const { call, message } = called;
    const renewal = this.renewalOf(claim, (error) => call.abort(error));
    const isBegun = isStepRequest(message.envelope);
    let end: CallEnd;
    try {
      end = await this.ended(called);
      await renewal.stop();
    } catch (error) {
      await renewal.stop();
      const isLost = await inbox.finish({ ...claim, done: undefined, isBegun }).then(
        () => false,
        (failure: unknown) => isHoldfastError(failure, 'HF_LEASE_LOST'),
      );
      throw isLost && isBegun ? await this.whatBecameOf(claim, called, error) : error;
    }
    try {
      await this.storeSuccess(claim, called, end);
    } catch (error) {
      throw isBegun && isHoldfastError(error, 'HF_LEASE_LOST') ? await this.whatBecameOf(claim, called, error) : error;
    }
    return end;
  }

  /** Makes the call, unless it is needless. */
  private async ended(called: CallOf): Promise<CallEnd> {
    const { call } = called;
    if (await this.guardUndoing(called)) return { answer: DONE, tell: () => emit('delivery:needless', () => call.facts()) };
    await call.run();
    return { answer: this.answering.answerOf(called) };
  }

  private storeSuccess(claim: ClaimTerm, called: CallOf, { answer }: CallEnd): Promise<void> {
    const { store, runUnit, scheduler, inHand, logger } = this.context;
    const { name: subscription } = this.subscription.spec;
    return storeSuccess({
      leaseMs: claim.leaseMs,
      store: () => this.finish(claim, called, answer),
      renew: () => store.inbox.renew(claim),
      isDone: async () => (await runUnit(FRAMEWORK_UNIT, (tx) => store.inbox.recall(tx, claim))).isDone,
      wait: async (error, ms) => {
        if (classify(error).category === 'cancelled') throw error;
        logger.warn('the end of a message could not be stored; it is tried again', { subscription, error });
        await scheduler.sleep(ms, inHand.signal).catch(() => {
          throw hfError('HF_STOPPING', { activity: `a delivery of ${subscription}` });
        });
        return true;
      },
    });
  }

  /** Commits, before the handler is called, that the request it undoes never runs beside it. True when that one left nothing behind: there is nothing to undo. */
  private async guardUndoing({ message, call }: CallOf): Promise<boolean> {
    if (this.subscription.undoes === undefined) return false;
    const { needless, keys } = await this.context.runUnit(FRAMEWORK_UNIT, (tx) =>
      this.guard.admit(tx, [{ message, call, key: undefined }], false),
    );
    await this.guard.free(keys);
    return needless.length > 0;
  }

  private async finish(claim: ClaimTerm, { message }: CallOf, answer: Answer | undefined): Promise<void> {
    const { inbox } = this.context.store;
    const end = { ...claim, done: { result: answer && keptText(answer) } };
    // What was needless has undone nothing.
    if (answer === DONE || this.subscription.undoes === undefined || message.envelope.compensates === undefined) return inbox.finish(end);
    await this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
      await inbox.finish(end, tx);
      await this.guard.finish(tx, message);
    });
  }

  /** Its claim is gone: if because the request was undone meanwhile, what it did after that is there for good, and a person must know. */
  private async whatBecameOf({ subscriptionId, key }: ClaimTerm, { message, call }: CallOf, cause: unknown): Promise<unknown> {
    const { inbox } = this.context.store;
    const { isUndone } = await this.context.runUnit(FRAMEWORK_UNIT, (tx) => inbox.recall(tx, { subscriptionId, key }));
    if (!isUndone) return cause;
    const { id, sagaId } = message.envelope;
    const { subscription, idempotencyKey } = call.delivery;
    return hfError('HF_REQUEST_UNDONE_IN_WORK', { subscription, id, sagaId, idempotencyKey }, { cause });
  }

  private renewalOf(claim: ClaimTerm, lost: (error: unknown) => void): Renewal {
    const { scheduler, logger, store } = this.context;
    const failed = (error: unknown) =>
      logger.warn('a lease could not be renewed; it is tried again', { subscription: this.subscription.spec.name, error });
    return new Renewal({ scheduler, termMs: claim.leaseMs, renew: () => store.inbox.renew(claim), lost, failed });
  }
}
