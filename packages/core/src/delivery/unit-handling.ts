import { type Recorded, recordParts } from '../choreography/parts.js';
import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { whenReady } from '../message/schema.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import { RequestGuard } from '../participant/request-guard.js';
import { expiredError, keepMsOf, memoryKeyOf, memoryPolicyOf } from '../participant/message-memory.js';
import { toMs } from '../time/duration.js';
import type { HandOver } from '../transport/transport.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { LocalUnitOptions } from '../unit-of-work/unit-of-work.js';
import { Answering, type CallOfMessage } from './answering.js';
import { FailedUnit, isFromBroker } from './failed-unit.js';
import { FailureRecorder, type Unattempted } from './failure-recorder.js';
import { HandlerCall } from './handler-call.js';
import type { Intake, Taken } from './intake.port.js';
import { openMessages } from './open-message.js';
import { envelopeOf, hasTurn, isForOthers, isReadable, type OpenedMessage, type ReadableMessage, succeeded } from './opened-message.js';
import { KeyGate, keyRuleOf } from './key-gate.js';
import { OtherVersions } from './other-versions.js';
import type { HandlingContext } from './handling-context.js';
import type { MessageHandling } from './message-handling.js';
import { runHandlers } from './run-handlers.js';
import type { IdempotencyPolicy } from './idempotency-policy.js';
import type { Subscription } from './subscription.js';

const NO_MESSAGES: ReadonlySet<OpenedMessage> = new Set();

/** What the framework's own statements of a delivery may take. */
const FRAMEWORK_MS = 10_000;

/** Thrown to undo a look that found nothing. */
class NothingTaken extends Error {}

/** What one hand-over has come to so far, known also when its unit failed. */
interface HandOverState {
  readonly limit: number;
  /** The transaction it was last made in. */
  readonly tx: Transaction | undefined;
  taken: Taken | undefined;
  opened: readonly OpenedMessage[];
  handled: readonly CallOfMessage[];
  hasStored: boolean;
  /** What the inbox was told of those that may be handled. */
  remembered: readonly InboxKey[];
  /** Keys of requests that were undone, whose turn is given on after the commit. */
  freed: readonly string[];
  /** True from the moment the messages were certainly ours. */
  isConfirmed: boolean;
  /** A handler has thrown, so that nothing of it was committed, whatever it threw. */
  hasThrown: boolean;
}

function freshState(limit: number, tx: Transaction | undefined): HandOverState {
  return {
    limit,
    tx,
    taken: undefined,
    opened: [],
    handled: [],
    hasStored: false,
    remembered: [],
    freed: [],
    isConfirmed: false,
    hasThrown: false,
  };
}

/** Calls of what is handled now, of what was handled before, of what has nothing to undo, and of what comes too late. */
interface Known {
  readonly fresh: readonly CallOfMessage[];
  readonly repeated: readonly CallOfMessage[];
  readonly needless: readonly CallOfMessage[];
  readonly ofAbortedSagas: readonly CallOfMessage[];
}

/**
 * Handles messages inside the transaction that consumes them: place, inbox, handler and outgoing messages are one commit.
 * A batch that fails is undone and handled one by one, so that only the bad message pays.
 */
export class UnitHandling implements MessageHandling {
  private readonly recorder: FailureRecorder;
  private readonly gate: KeyGate;
  private readonly answering: Answering;
  private readonly guard: RequestGuard;
  private readonly others: OtherVersions;
  private readonly failed: FailedUnit;
  private readonly unit: LocalUnitOptions;
  /** The subscription as messages are opened with, with a shorter time-out: an asynchronous schema that hangs must fail its own message before the whole unit times out, which names none. */
  private readonly opening: Subscription;

  constructor(
    private readonly context: HandlingContext,
    private readonly subscription: Subscription,
  ) {
    this.recorder = new FailureRecorder(context, subscription);
    this.gate = new KeyGate(context.store.deliveries, subscription);
    this.answering = new Answering(context, subscription);
    this.guard = new RequestGuard(context, subscription);
    this.others = new OtherVersions(context.store.subscriptions, subscription);
    this.failed = new FailedUnit(context, subscription, {
      gate: this.gate,
      recorder: this.recorder,
      alone: (intake) => this.handle(intake, 1),
    });
    // The handler's own time-out comes first; the unit's is for when the framework's part hangs.
    const timeout = subscription.timeoutMs * subscription.spec.batchSize + FRAMEWORK_MS;
    this.unit = { retries: 3, timeout, isolation: 'READ COMMITTED', ...subscription.unit, propagation: 'REQUIRES_NEW' };
    const unitMs = subscription.unit?.timeout === undefined ? Number.POSITIVE_INFINITY : toMs(subscription.unit.timeout, 'timeout');
    this.opening = { ...subscription, timeoutMs: Math.min(subscription.timeoutMs, unitMs / 2) };
  }

  async handle(intake: Intake, limit = this.subscription.spec.batchSize): Promise<HandOver> {
    const state = freshState(limit, undefined);
    try {
      await this.context.runUnit(this.unit, (tx) => this.inUnit(tx, intake, state));
    } catch (error) {
      if (error instanceof NothingTaken) return 'idle';
      // They had been read ahead and were not certainly ours yet: whatever went wrong says nothing of them. The next look is a fresh one.
      const wasOurs = state.isConfirmed || state.taken?.confirm === undefined || classify(error).category === 'cancelled';
      return wasOurs ? this.failed.deal(intake, state, error) : 'worked';
    }
    const { taken } = state;
    if (taken === undefined || taken.messages.length === 0) return taken?.hasMore ? 'worked' : 'idle';
    await intake.settle(taken.messages, 'ack');
    for (const { call } of state.handled) call.succeeded();
    if (state.hasStored) this.context.onStored();
    await this.guard.free(state.freed);
    return taken.hasMore ? 'worked' : 'idle';
  }

  private async inUnit(tx: Transaction, intake: Intake, state: HandOverState): Promise<void> {
    // The unit may be run again: nothing of its first run counts then, except that there was one, if this one does not come as far.
    Object.assign(state, { ...freshState(state.limit, tx), taken: state.taken, opened: state.opened });
    const taken = await intake.take(tx, state.limit);
    state.taken = taken;
    failpoint('unit:after-take');
    if (taken.messages.length === 0) {
      // A rollback is cheaper than a commit that has to be flushed for nothing.
      if (!taken.isMoved) throw new NothingTaken();
      return;
    }
    // Not taken apart: what was read ahead knows it once it is confirmed.
    const begun = taken.messages.some(isFromBroker)
      ? await this.context.store.deliveries.begin(tx, this.subscription.spec.id as number)
      : taken;
    const opening = openMessages(this.context, this.opening, taken.messages);
    const opened = await whenReady(opening, (messages) => this.others.mark(tx, messages));
    state.opened = opened;
    if (taken.isSuspect) {
      state.hasStored = true;
      return this.recorder.putAside(tx, opened, this.gate);
    }
    const held = this.gate.isOrdered ? await this.held(tx, opened) : NO_MESSAGES;
    const { admitted, unattempted } = this.sort(opened, held);
    const known = await this.tellApart(tx, { taken, admitted }, state);
    this.tellLater(known);
    await this.run(tx, known.fresh, state);
    await this.answering.drop(tx, known.ofAbortedSagas, abortedError);
    const droppedRepeats = admitted.some(isAsking) ? await this.answer(tx, known, admitted) : NO_MESSAGES;
    if (begun.hasStored) {
      await this.close(tx, admitted, droppedRepeats);
      state.hasStored = true;
    }
    if (unattempted.length > 0) await this.recorder.recordUnattempted(tx, unattempted);
    failpoint('unit:after-handling');
  }

  /** Tells what is handled now from what is not. The messages are certainly ours from the moment the place is confirmed. */
  private async tellApart(
    tx: Transaction,
    { taken, admitted }: { readonly taken: Taken; readonly admitted: readonly ReadableMessage[] },
    state: HandOverState,
  ): Promise<Known> {
    const { fresh: unguarded, repeated } = await this.remember(tx, admitted);
    const { calls: wanted, needless, keys } = await this.guard.admit(tx, unguarded, true);
    state.remembered = unguarded.flatMap(({ key }) => key ?? []);
    state.freed = keys;
    if (taken.confirm) await taken.confirm();
    state.isConfirmed = true;
    const { kept: fresh, ofAbortedSagas, repeated: recorded } = await this.recordParts(tx, wanted);
    return { fresh, repeated: [...repeated, ...recorded], needless, ofAbortedSagas };
  }

  /** Of messages that are not handled, once that is committed. */
  private tellLater({ repeated, needless, ofAbortedSagas }: Known): void {
    if (repeated.length + needless.length + ofAbortedSagas.length === 0) return;
    this.context.afterCommit(() => {
      for (const { call } of repeated) emit('delivery:duplicate', () => call.facts());
      for (const { call } of needless) emit('delivery:needless', () => call.facts());
      for (const { call, message } of ofAbortedSagas)
        emit('saga:message-dropped', () => ({ ...call.facts(), sagaId: message.envelope.sagaId as string }));
    });
  }

  private async run(tx: Transaction, calls: readonly CallOfMessage[], state: HandOverState): Promise<void> {
    state.handled = calls;
    try {
      await runHandlers(calls);
    } catch (error) {
      state.hasThrown = true;
      // A handler that was given up may still have a statement running: only the end of the connection ends it.
      if (isHoldfastError(error, 'HF_HANDLER_TIMEOUT') || isHoldfastError(error, 'HF_STOPPING')) await tx.abort(error);
      throw error;
    }
  }

  /** Only what can be undone waits for it. */
  private recordParts(tx: Transaction, calls: readonly CallOfMessage[]): Recorded | Promise<Recorded> {
    const { undo } = this.subscription;
    return undo === undefined
      ? { kept: calls, ofAbortedSagas: [], repeated: [] }
      : recordParts(this.context.store.choreography, tx, { undo, calls });
  }

  /** Answers whoever asks. Gives the repeats that are dropped, because they were undone or refused before. */
  private async answer(
    tx: Transaction,
    { fresh, repeated, needless }: Known,
    admitted: readonly ReadableMessage[],
  ): Promise<ReadonlySet<OpenedMessage>> {
    await this.answering.answer(tx, fresh);
    await this.answering.answerNeedless(needless);
    // After the others: a batch may hold a request twice.
    const droppedRepeats = await this.answering.answerAgain(tx, repeated);
    await this.context.receipts.give(tx, admitted.map(envelopeOf), {
      subscription: this.subscription.spec.name,
      transport: this.subscription.transport,
      status: 'consumed',
    });
    return droppedRepeats;
  }

  /** Those behind an unfinished delivery of their key. */
  private async held(tx: Transaction, opened: readonly OpenedMessage[]): Promise<ReadonlySet<OpenedMessage>> {
    const held = new Set<OpenedMessage>();
    await this.gate.admit(tx, opened.filter(hasTurn), (message) => held.add(message));
    return held;
  }

  /** Which messages may be handled, and what becomes of the others, in their order: where a key waits for what ended badly, also within a batch. */
  private sort(
    opened: readonly OpenedMessage[],
    held: ReadonlySet<OpenedMessage>,
  ): { readonly admitted: readonly ReadableMessage[]; readonly unattempted: readonly Unattempted[] } {
    const { blocksKeys } = keyRuleOf(this.subscription);
    const blocked = new Set<string>();
    const admitted: ReadableMessage[] = [];
    const unattempted: Unattempted[] = [];
    for (const message of opened) {
      const key = message.envelope?.key;
      const waits = hasTurn(message) && (held.has(message) || (key !== undefined && blocked.has(key)));
      const ended = waits ? undefined : this.ended(message);
      if (ended !== undefined && (blocksKeys || (this.gate.isOrdered && isForOthers(message))) && key !== undefined) blocked.add(key);
      if (ended !== undefined) unattempted.push(ended);
      else if (waits) unattempted.push(this.recorder.waiting(message));
      else if (isReadable(message)) admitted.push(message);
    }
    return { admitted, unattempted };
  }

  /** What ends without an attempt: nobody can read it, its attempts are used up, or it is too old to be proven new. */
  private ended(message: OpenedMessage): Unattempted | undefined {
    if (!isReadable(message)) return this.recorder.unread(message);
    const usedUp = this.recorder.usedUp(message);
    const expired = usedUp === undefined ? expiredError(this.subscription, message, this.context.clock) : undefined;
    return expired === undefined ? usedUp : this.recorder.dead(message, expired);
  }

  /** Tells the messages that are to be handled, new where the subscription is idempotent, from repeats of what was. */
  private async remember(tx: Transaction, messages: readonly ReadableMessage[]): Promise<Pick<Known, 'fresh' | 'repeated'>> {
    let policy: IdempotencyPolicy | undefined;
    const calls = messages.map((message): CallOfMessage => {
      const call = new HandlerCall(this.context, this.subscription, message);
      const own = memoryPolicyOf(this.subscription, message.envelope);
      policy ??= own;
      return { message, call, key: own && memoryKeyOf(this.subscription, message, { policy: own, delivery: call.delivery }) };
    });
    const keyed = calls.filter(({ key }) => key !== undefined);
    if (policy === undefined || keyed.length === 0) return { fresh: calls, repeated: [] };
    const keys = keyed.map(({ key }) => key as InboxKey);
    const subscriptionId = this.subscription.spec.id as number;
    const isNew = await this.context.store.inbox.remember(tx, { subscriptionId, keys, ttlMs: keepMsOf(this.subscription, policy) });
    failpoint('inbox:after-insert');
    const repeated = keyed.filter((_, index) => !isNew[index]);
    const isRepeated = new Set(repeated);
    return { fresh: calls.filter((call) => !isRepeated.has(call)), repeated };
  }

  private async close(tx: Transaction, messages: readonly ReadableMessage[], droppedRepeats: ReadonlySet<OpenedMessage>): Promise<void> {
    if (messages.length === 0) return;
    const closed = messages.map((message) => ({ ...succeeded(message), isDropped: droppedRepeats.has(message) }));
    await this.context.store.deliveries.close(tx, keyRuleOf(this.subscription), closed);
  }
}

/** Why a message of a choreographed saga is dropped. */
function abortedError({ message: { envelope } }: CallOfMessage): Error {
  return hfError('HF_SAGA_ABORTED', { type: envelope.type, id: envelope.sagaId as string });
}

/** Whether somebody wants to hear of it: of a command, a request, or by a receipt. */
function isAsking({ envelope: { kind, replyTo, wantsReceipt } }: ReadableMessage): boolean {
  return kind === 'command' || replyTo !== undefined || wantsReceipt === true;
}
