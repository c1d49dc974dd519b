import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import type { Envelope } from '../message/envelope.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import { ageMsOf, isStepRequest } from '../participant/undo-rules.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { Answering } from './answering.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import { tellRefused } from './given-up.js';
import { HandlerCall } from './handler-call.js';
import { type KeyGate, keyRuleOf } from './key-gate.js';
import {
  hasTurn,
  identityOf,
  isForOthers,
  isReadable,
  nameOf,
  type OpenedMessage,
  type ReadableMessage,
  storedForm,
  succeeded,
  type UnreadableMessage,
} from './opened-message.js';
import { waitForOthersMs } from './other-versions.js';
import type { HandlingContext } from './handling-context.js';
import { decideFailure } from './refusal-rule.js';
import type { Subscription } from './subscription.js';

/** Wait before a message is tried again whose key another call holds just now; it costs no attempt. */
const CONFLICT_DELAY_MS = 250;

/** What becomes of a message without an attempt at it: it waits, or it ends for a reason. */
export interface Unattempted extends DeliveryRecord {
  readonly envelope: Envelope | undefined;
  readonly error?: unknown;
}

/** Turns failures into stored deliveries, and refusals into answers. */
export class FailureRecorder {
  private readonly answering: Answering;

  constructor(
    private readonly context: HandlingContext,
    private readonly subscription: Subscription,
  ) {
    this.answering = new Answering(context, subscription);
  }

  /** Writes what a failed attempt leads to: another one later, a dead letter, an invalid message, or nothing but an answer. */
  async record(tx: Transaction, message: OpenedMessage, error: unknown): Promise<void> {
    if (await this.dropIfUndone(tx, message)) return;
    const record = isReadable(message) ? this.failed(message, error) : this.unread(message);
    if (record === 'refused') return this.refused(tx, message as ReadableMessage, error);
    failpoint('failure:before-record');
    await this.context.store.deliveries.record(tx, [record]);
    failpoint('failure:after-record');
    await this.freeKeys(tx, [record]);
    await this.tellSender(tx, record, error);
    this.context.afterCommit(() => {
      this.tell(record, error);
      // One that was not attempted (its key is held, it cannot be read) says nothing of the handler.
      if (record.attempts > message.incoming.attempts) this.context.failures.failed(nameOf(message), error);
    });
  }

  /** The same of a message whose turn was not known before: behind an unfinished one of its key it waits, and nothing of it has run. */
  async recordInTurn(
    tx: Transaction,
    message: OpenedMessage,
    { error, gate }: { readonly error: unknown; readonly gate: KeyGate },
  ): Promise<void> {
    const held: DeliveryRecord[] = [];
    await gate.admit(tx, hasTurn(message) ? [message] : [], (waiting) => held.push(this.waiting(waiting)));
    if (held.length > 0) await this.context.store.deliveries.record(tx, held);
    else await this.record(tx, message, error);
  }

  /** Writes what was decided of messages that are not attempted. */
  async recordUnattempted(tx: Transaction, records: readonly Unattempted[]): Promise<void> {
    await this.context.store.deliveries.record(tx, records);
    await this.freeKeys(tx, records);
    for (const record of records.filter(isEnded)) await this.tellSender(tx, record, record.error);
    const told = records.filter(({ state }) => state !== 'waiting');
    if (told.length > 0)
      this.context.afterCommit(() => {
        for (const record of told) this.tell(record, record.error);
      });
  }

  /** What nobody could read, with its body and the reason; what only another version can read is kept for it, as suspect as it was. */
  unread(message: UnreadableMessage): Unattempted {
    const { incoming, error } = message;
    const end = isForOthers(message)
      ? { state: 'retry' as const, delayMs: waitForOthersMs(ageMsOf(message, this.context.clock)), isSuspect: incoming.isCounted ?? false }
      : { state: 'invalid' as const, delayMs: 0, isSuspect: false };
    return { ...this.base(message), ...end, attempts: incoming.attempts, failure: describeFailure(error), error };
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

  /** A process died at the place of these messages: puts them aside, to be counted before they are handled, and handled alone. */
  async putAside(tx: Transaction, messages: readonly OpenedMessage[], gate: KeyGate): Promise<void> {
    const keys = new Set<string>();
    for (const message of messages) {
      const key = this.subscription.spec.ordering === 'key' ? message.envelope?.key : undefined;
      const isFirst = key === undefined || (!keys.has(key) && (await gate.isFree(tx, key)));
      if (key !== undefined) keys.add(key);
      await this.context.store.deliveries.record(tx, [this.suspect(message, isFirst)]);
    }
  }

  private suspect(message: OpenedMessage, isFirstOfKey: boolean): DeliveryRecord {
    const state = isFirstOfKey ? 'retry' : 'waiting';
    return { ...this.base(message), state, attempts: message.incoming.attempts, delayMs: 0, failure: undefined, isSuspect: true };
  }

  /** The handler has refused it, and whoever asked is told: that is its end, so nothing is stored, no key waits for it, and it speaks against nobody. */
  private async refused(tx: Transaction, message: ReadableMessage, error: unknown): Promise<void> {
    failpoint('failure:before-record');
    // The locks of keys come before those of the inbox.
    if (message.incoming.deliveryId !== undefined) await this.drop(tx, message);
    await this.answering.refuse(tx, message, error);
    failpoint('failure:after-record');
    const ended = { subscription: this.subscription.spec.name, attempts: message.incoming.attempts + 1, error };
    this.context.afterCommit(() => tellRefused(this.context, message, ended));
  }

  /**
   * Drops a request that was undone meanwhile, or refused, and tells whoever asked: a stored failure of it would keep back its key, and nobody would withdraw it.
   * True when it did.
   */
  private async dropIfUndone(tx: Transaction, message: OpenedMessage): Promise<boolean> {
    const { subscription, context } = this;
    if (!subscription.isUndoable || !isReadable(message) || !isStepRequest(message.envelope)) return false;
    const { source, id } = message.envelope;
    const key = { subscriptionId: subscription.spec.id as number, key: { source, id } };
    const { isUndone, result } = await context.store.inbox.recall(tx, key);
    if (!isUndone) return false;
    const call = new HandlerCall(context, subscription, message);
    await context.replies.give(message.envelope, this.answering.answerToDropped(message, result), subscription.transport);
    await this.drop(tx, message);
    context.afterCommit(() => this.answering.tellDropped({ message, call }, result));
    return true;
  }

  private drop(tx: Transaction, message: ReadableMessage): Promise<void> {
    const { context, subscription } = this;
    return context.store.deliveries.close(tx, keyRuleOf(subscription), [{ ...succeeded(message), isDropped: true }]);
  }

  private failed(message: ReadableMessage, error: unknown): Unattempted | 'refused' {
    const { attempts, isCounted = false } = message.incoming;
    const failure = describeFailure(error);
    // Not an end of it: it is as suspect as it was.
    if (classify(error).category === 'conflict') {
      return { ...this.base(message), state: 'retry', attempts, delayMs: CONFLICT_DELAY_MS, failure, isSuspect: isCounted };
    }
    const { subscription } = this;
    const decision = decideFailure({ subscription, message }, { error, attempt: attempts + 1 }, this.context.random);
    if (decision.kind === 'refused') return 'refused';
    const delayMs = decision.kind === 'retry' ? decision.delayMs : 0;
    return { ...this.base(message), state: decision.kind, attempts: attempts + 1, delayMs, failure, isSuspect: false };
  }

  /** Tells whoever waits for an answer, or asked for a receipt, what a message has come to in the end, with the same commit. */
  private async tellSender(tx: Transaction, record: Unattempted, error: unknown): Promise<void> {
    if (!isEnded(record)) return;
    const { envelope } = record;
    await this.context.replies.refuse({ incoming: record.message, envelope }, error, this.subscription);
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
