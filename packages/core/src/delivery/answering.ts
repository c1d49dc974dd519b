import type { InboxKey } from '../inbox/inbox.store.port.js';
import { hfError } from '../errors/catalogue.js';
import { emit } from '../monitoring/events.js';
import { refuseRequest } from '../participant/refused-request.js';
import { type Answer, answerFrom, keptText, refusalFor } from '../reply/answer.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { ReadableMessage } from './opened-message.js';
import type { HandlingContext } from './handling-context.js';
import type { CallOf } from './run-handlers.js';
import type { Subscription } from './subscription.js';

/** A message, the call of its handler, and what it is remembered by where the subscription is idempotent. */
export interface CallOfMessage extends CallOf {
  readonly key: InboxKey | undefined;
}

/** Of what need not be done. */
export const DONE: Answer = { json: undefined };

/** Answers requests in the transaction in which their handlers worked, and repeats of them with what was answered first. */
export class Answering {
  constructor(
    private readonly context: Pick<HandlingContext, 'store' | 'replies' | 'logger' | 'afterCommit'>,
    private readonly subscription: Subscription,
  ) {}

  /** What a call has returned, as an answer; undefined for a message that is none to answer. */
  answerOf({ message: { envelope }, call }: CallOf): Answer | undefined {
    const isCommand = envelope.kind === 'command' || envelope.replyTo !== undefined;
    return isCommand ? this.context.replies.answerWith(envelope.type, call.value) : undefined;
  }

  /** Answers what was handled, and keeps it for repeats. A command that was only sent may be asked for later, by its business key: its result is kept too. */
  async answer(tx: Transaction, handled: readonly CallOfMessage[]): Promise<void> {
    for (const one of handled) {
      const answer = this.answerOf(one);
      if (answer === undefined) continue;
      const result = keptText(answer);
      if (one.key !== undefined && result !== undefined) await this.context.store.inbox.keep(tx, { ...this.memory(one.key), result });
      await this.context.replies.give(one.message.envelope, answer, this.subscription.transport);
    }
  }

  /** Remembers of messages that are dropped that they never ran and never will, and tells whoever asked. */
  async drop(tx: Transaction, dropped: readonly CallOfMessage[], errorOf: (call: CallOfMessage) => Error): Promise<void> {
    const { inbox } = this.context.store;
    for (const one of dropped) {
      if (one.key !== undefined) await inbox.cancel(tx, this.memory(one.key));
      await this.context.replies.give(one.message.envelope, this.context.replies.refusalFor(errorOf(one)), this.subscription.transport);
    }
  }

  /** Answers a request that its handler refused, and keeps that for repeats. @throws HF_IDEMPOTENT_IN_PROGRESS when it has to be looked at again */
  async refuse(tx: Transaction, { envelope }: ReadableMessage, error: unknown): Promise<void> {
    const answer = await refuseRequest(this.context.store.inbox, tx, { subscription: this.subscription, envelope, error });
    await this.context.replies.give(envelope, answer, this.subscription.transport);
  }

  /** Answers repeats of what was handled before, to whoever asks again; those that were undone or refused, and are dropped, also where nobody asks. Gives these. */
  async answerAgain(tx: Transaction, repeated: readonly CallOfMessage[]): Promise<ReadonlySet<ReadableMessage>> {
    const droppedRepeats = new Set<ReadableMessage>();
    for (const { message, call, key } of repeated) {
      const isAsked = message.envelope.replyTo !== undefined;
      if (key === undefined || !(isAsked || this.subscription.isUndoable)) continue;
      const { isUndone, result } = await this.context.store.inbox.recall(tx, this.memory(key));
      const answer = isUndone ? this.answerToDropped(message, result) : answerFrom(result);
      if (isUndone) {
        droppedRepeats.add(message);
        this.context.afterCommit(() => this.tellDropped({ message, call }, result));
      }
      await this.context.replies.give(message.envelope, answer, this.subscription.transport);
    }
    return droppedRepeats;
  }

  /** Answers those that had nothing to undo: it is as if they had done it. */
  async answerNeedless(needless: readonly CallOfMessage[]): Promise<void> {
    for (const { message } of needless) await this.context.replies.give(message.envelope, DONE, this.subscription.transport);
  }

  /** The answer to a request that is not handled any more: what it was refused with before, else that it was undone. */
  answerToDropped({ envelope: { id, sagaId } }: ReadableMessage, result: string | undefined): Answer {
    if (result !== undefined) return answerFrom(result);
    const error = hfError('HF_REQUEST_UNDONE', { id, sagaId, subscription: this.subscription.spec.name });
    return refusalFor(error, this.subscription.limits);
  }

  /** Tells people and events of a request that was undone before it came, once that is committed. */
  tellDropped({ message: { envelope }, call }: CallOf, result: string | undefined): void {
    if (result !== undefined) return;
    const { id, sagaId } = envelope;
    emit('delivery:undone', () => call.facts());
    this.context.logger.warn('a request was dropped, because it was undone', { subscription: this.subscription.spec.name, id, sagaId });
  }

  private memory(key: InboxKey) {
    return { subscriptionId: this.subscription.spec.id as number, key };
  }
}
