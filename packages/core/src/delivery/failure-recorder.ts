import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import type { Envelope } from '../message/envelope.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import { isRefusedForGood } from '../participant/definite-refusal.js';
import { isStepRequest } from '../participant/undo-rules.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { Answering } from './answering.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import { HandlerCall } from './handler-call.js';
import { keyRuleOf } from './key-gate.js';
import { identityOf, isReadable, nameOf, type OpenedMessage, storedForm, succeeded } from './opened-message.js';
import type { PipelineContext } from './pipeline-context.js';
import { decideRetry } from './retry-policy.js';
import type { Subscription } from './subscription.js';

/** Wait before a message is tried again whose key another call holds just now; it costs no attempt. */
const CONFLICT_DELAY_MS = 250;

/** What becomes of a message without an attempt at it: it waits, or it ends for a reason. */
export interface Unattempted extends DeliveryRecord {
  readonly envelope: Envelope | undefined;
  readonly error?: unknown;
}

/** Turns failures into stored deliveries. */
export class FailureRecorder {
  constructor(
    private readonly context: PipelineContext,
    private readonly subscription: Subscription,
  ) {}

  /** Writes what a failed attempt leads to: another one later, a dead letter, or an invalid message. */
  async record(tx: Transaction, message: OpenedMessage, error: unknown): Promise<void> {
    if (await this.isDropped(tx, message)) return;
    const record = isReadable(message) ? this.failed(message, error) : this.invalid(message);
    failpoint('failure:before-record');
    await this.context.store.deliveries.record(tx, [record]);
    failpoint('failure:after-record');
    await this.freeKeys(tx, [record]);
    await this.refuse(tx, record, error);
    this.tell(record, error);
    // One that was not attempted (its key is held, it cannot be read) says nothing of the handler.
    if (record.attempts > message.incoming.attempts) this.context.failures.failed(nameOf(message), error);
  }

  /** Writes what was decided of messages that are not attempted. */
  async put(tx: Transaction, records: readonly Unattempted[]): Promise<void> {
    await this.context.store.deliveries.record(tx, records);
    await this.freeKeys(tx, records);
    for (const record of records.filter(isEnded)) {
      await this.refuse(tx, record, record.error);
      this.tell(record, record.error);
    }
  }

  /** What nobody could read, with its body and the reason. */
  invalid(message: OpenedMessage): Unattempted {
    const error = 'error' in message ? message.error : undefined;
    return {
      ...this.base(message),
      state: 'invalid',
      attempts: message.incoming.attempts,
      delayMs: 0,
      failure: describeFailure(error),
      isSuspect: false,
      error,
    };
  }

  /** Not handled and not going to be, for a reason of ours. */
  dead(message: OpenedMessage, error: unknown): Unattempted {
    return {
      ...this.base(message),
      state: 'dead',
      attempts: message.incoming.attempts,
      delayMs: 0,
      failure: describeFailure(error),
      isSuspect: false,
      error,
    };
  }

  /** Undefined while it may be attempted. Else its last attempt ended with its process, or the limit was lowered since: then the stored failure is kept. */
  usedUp(message: OpenedMessage): Unattempted | undefined {
    const { attempts, hasFailure = false } = message.incoming;
    const { retry, spec } = this.subscription;
    if (attempts < retry.attempts) return undefined;
    const about = { subscription: spec.name, attempts };
    if (!hasFailure) return this.dead(message, hfError('HF_HANDLER_UNSETTLED_KILLED', about));
    const error = hfError('HF_HANDLER_ATTEMPTS_LOWERED', { ...about, limit: retry.attempts });
    return { ...this.dead(message, error), failure: undefined };
  }

  /** Waits behind an unfinished delivery of its key. */
  waiting(message: OpenedMessage): Unattempted {
    return {
      ...this.base(message),
      state: 'waiting',
      attempts: message.incoming.attempts,
      delayMs: 0,
      failure: undefined,
      isSuspect: false,
    };
  }

  /** Put aside because a process died near it: to be counted before it is handled, and handled alone. */
  suspect(message: OpenedMessage, isFirstOfKey: boolean): DeliveryRecord {
    const state = isFirstOfKey ? 'retry' : 'waiting';
    return { ...this.base(message), state, attempts: message.incoming.attempts, delayMs: 0, failure: undefined, isSuspect: true };
  }

  /** A request that was undone meanwhile: a stored failure of it would keep back its key, and nobody would withdraw it. Whoever asked is told. */
  private async isDropped(tx: Transaction, message: OpenedMessage): Promise<boolean> {
    const { subscription, context } = this;
    if (!subscription.isUndoable || !isReadable(message) || !isStepRequest(message.envelope)) return false;
    const { source, id } = message.envelope;
    const { isUndone } = await context.store.inbox.recall(tx, { subscriptionId: subscription.spec.id as number, key: { source, id } });
    if (!isUndone) return false;
    const call = new HandlerCall(context, subscription, message);
    await context.replies.give(message.envelope, new Answering(context, subscription).undone({ message, call }), subscription.transport);
    await context.store.deliveries.close(tx, keyRuleOf(subscription), [{ ...succeeded(message), isDropped: true }]);
    return true;
  }

  private failed(message: OpenedMessage, error: unknown): Unattempted {
    const { attempts, isCounted = false } = message.incoming;
    const failure = describeFailure(error);
    // Not an end of it: it is as suspect as it was.
    if (classify(error).category === 'conflict') {
      return { ...this.base(message), state: 'retry', attempts, delayMs: CONFLICT_DELAY_MS, failure, isSuspect: isCounted };
    }
    const decision = decideRetry(this.subscription.retry, { error, attempt: attempts + 1 }, this.context.random);
    const delayMs = decision.kind === 'retry' ? decision.delayMs : 0;
    return { ...this.base(message), state: decision.kind, attempts: attempts + 1, delayMs, failure, isSuspect: false };
  }

  /** Tells whoever waits for an answer, or asked for a receipt, what a message has come to in the end, with the same commit. */
  private async refuse(tx: Transaction, record: Unattempted, error: unknown): Promise<void> {
    if (!isEnded(record)) return;
    const { envelope } = record;
    const isDefinite = await isRefusedForGood(this.context.store.inbox, tx, { subscription: this.subscription, envelope, error });
    const { transport } = this.subscription;
    await this.context.replies.refuse({ incoming: record.message, envelope }, error, { transport, isDefinite });
    await this.context.receipts.give(tx, [record.envelope], {
      subscription: this.subscription.spec.name,
      transport: this.subscription.transport,
      status: 'dead-lettered',
    });
  }

  private async freeKeys(tx: Transaction, records: readonly DeliveryRecord[]): Promise<void> {
    if (this.subscription.onDeadLetter !== 'skip') return;
    const keys = records.filter(isEnded).flatMap(({ key }) => key ?? []);
    if (keys.length > 0) await this.context.store.deliveries.free(tx, { ...keyRuleOf(this.subscription), keys });
  }

  private base(message: OpenedMessage) {
    const { spec } = this.subscription;
    const { envelope } = message;
    return { subscriptionId: spec.id as number, message: storedForm(message), identity: identityOf(message), key: envelope?.key, envelope };
  }

  private tell({ state, attempts, delayMs, message, failure, identity, key }: DeliveryRecord, error: unknown): void {
    const subscription = this.subscription.spec.name;
    const { code, message: reason, fingerprint } = failure ?? describeFailure(error);
    const facts = () => {
      const about = { id: identity?.id ?? '', source: identity?.source ?? '', type: message.type, key, subscription, attempt: attempts };
      const why = { code, category: classify(error).category, fingerprint, error };
      return { ...about, ...why };
    };
    if (state === 'retry') {
      emit('delivery:retry-scheduled', () => ({ ...facts(), delayMs }));
      return;
    }
    const text = state === 'dead' ? 'dead letter' : 'message cannot be read';
    this.context.logger.warn(text, {
      subscription,
      type: message.type,
      id: identity?.id,
      attempts,
      code,
      reason,
    });
    if (state === 'dead') emit('delivery:dead-lettered', facts);
    if (state === 'invalid')
      emit('message:invalid', () => ({ ...facts(), id: identity?.id, source: identity?.source, bytes: message.body.byteLength }));
  }
}

function isEnded({ state }: DeliveryRecord): boolean {
  return state === 'dead' || state === 'invalid';
}
