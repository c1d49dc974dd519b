import { type Recorded, recordParts } from '../choreography/parts.js';
import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import { RequestGuard } from '../participant/request-guard.js';
import { expiredError, keepMsOf, memoryKeyOf, memoryPolicyOf } from '../participant/step-memory.js';
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
import type { PipelineContext } from './pipeline-context.js';
import { runHandlers } from './run-handlers.js';
import type { IdempotencyPolicy } from './idempotency-policy.js';
import type { Subscription } from './subscription.js';

const NONE_HELD: ReadonlySet<OpenedMessage> = new Set();

/** What the framework's own statements of a delivery may take. */
const FRAMEWORK_MS = 10_000;

/** Thrown to undo a look that found nothing. */
class NothingTaken extends Error {}

/** What one attempt took, known also when it failed. */
interface Attempt {
  readonly limit: number;
  /** The transaction it was last made in. */
  tx: Transaction | undefined;
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

/** Calls of what is handled now, of what was handled before, and of what has nothing to undo. */
interface Remembered {
  readonly fresh: readonly CallOfMessage[];
  readonly repeated: readonly CallOfMessage[];
  readonly needless: readonly CallOfMessage[];
}

/**
 * Handles messages inside the transaction that consumes them: place, inbox, handler and outgoing messages are one commit.
 * A batch that fails is undone and handled one by one, so that only the bad message pays.
 */
export class UnitPipeline {
  private readonly recorder: FailureRecorder;
  private readonly gate: KeyGate;
  private readonly answering: Answering;
  private readonly guard: RequestGuard;
  private readonly others: OtherVersions;
  private readonly failed: FailedUnit;
  private readonly unit: LocalUnitOptions;
  /** What messages are opened by: a unit that ends before the time-out of a handler must not end while nobody knows of which message that tells. */
  private readonly opening: Subscription;

  constructor(
    private readonly context: PipelineContext,
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
      alone: (intake) => this.attempt(intake, 1),
    });
    // The handler's own time-out comes first; the unit's is for when the framework's part hangs.
    const timeout = subscription.timeoutMs * subscription.spec.batchSize + FRAMEWORK_MS;
    this.unit = { retries: 3, timeout, isolation: 'READ COMMITTED', ...subscription.unit, propagation: 'REQUIRES_NEW' };
    const unitMs = subscription.unit?.timeout === undefined ? Number.POSITIVE_INFINITY : toMs(subscription.unit.timeout, 'timeout');
    this.opening = { ...subscription, timeoutMs: Math.min(subscription.timeoutMs, unitMs / 2) };
  }

  handle(intake: Intake, limit = this.subscription.spec.batchSize): Promise<HandOver> {
    return this.attempt(intake, limit);
  }

  private async attempt(intake: Intake, limit: number): Promise<HandOver> {
    const attempt: Attempt = {
      limit,
      tx: undefined,
      taken: undefined,
      opened: [],
      handled: [],
      hasStored: false,
      remembered: [],
      freed: [],
      isConfirmed: false,
      hasThrown: false,
    };
    try {
      await this.context.runUnit(this.unit, (tx) => this.inUnit(tx, intake, attempt));
    } catch (error) {
      if (error instanceof NothingTaken) return 'idle';
      // They had been read ahead and were not certainly ours yet: whatever went wrong says nothing of them. The next look is a fresh one.
      const wasOurs = attempt.isConfirmed || attempt.taken?.confirm === undefined || classify(error).category === 'cancelled';
      return wasOurs ? this.failed.deal(intake, attempt, error) : 'worked';
    }
    const { taken } = attempt;
    if (taken === undefined || taken.messages.length === 0) return taken?.hasMore ? 'worked' : 'idle';
    await intake.settle(taken.messages, 'ack');
    for (const { call } of attempt.handled) call.succeeded();
    if (attempt.hasStored) this.context.onStored();
    await this.guard.free(attempt.freed);
    return taken.hasMore ? 'worked' : 'idle';
  }

  private async inUnit(tx: Transaction, intake: Intake, attempt: Attempt): Promise<void> {
    attempt.tx = tx;
    attempt.isConfirmed = false;
    attempt.hasThrown = false;
    attempt.remembered = [];
    attempt.handled = [];
    const taken = await intake.take(tx, attempt.limit);
    attempt.taken = taken;
    failpoint('claim:after-read');
    if (taken.messages.length === 0) {
      // A rollback is cheaper than a commit that has to be flushed for nothing.
      if (!taken.isMoved) throw new NothingTaken();
      return;
    }
    const begun = taken.messages.some(isFromBroker)
      ? await this.context.store.deliveries.begin(tx, this.subscription.spec.id as number)
      : taken;
    const opening = openMessages(this.context, this.opening, taken.messages);
    const marking = this.others.mark(tx, opening instanceof Promise ? await opening : opening);
    const opened = marking instanceof Promise ? await marking : marking;
    attempt.opened = opened;
    if (taken.isSuspect) {
      attempt.hasStored = true;
      return this.putAside(tx, opened);
    }
    const held = this.gate.isOrdered ? await this.held(tx, opened) : NONE_HELD;
    const { admitted, records } = this.sort(opened, held);
    const { fresh: unguarded, repeated } = await this.remember(tx, admitted);
    const { calls: fresh, needless, keys } = await this.guard.admit(tx, unguarded, true);
    attempt.remembered = unguarded.flatMap(({ key }) => key ?? []);
    attempt.freed = keys;
    if (taken.confirm) await taken.confirm();
    attempt.isConfirmed = true;
    const { kept, dropped, repeated: recorded } = await this.record(tx, fresh);
    const again = [...repeated, ...recorded];
    this.tellLater({ again, needless, dropped });
    attempt.handled = kept;
    try {
      await runHandlers(kept);
    } catch (error) {
      attempt.hasThrown = true;
      // A handler that was given up may still have a statement running: only the end of the connection ends it.
      if (isHoldfastError(error, 'HF_HANDLER_TIMEOUT') || isHoldfastError(error, 'HF_STOPPING')) await tx.abort(error);
      throw error;
    }
    await this.answering.drop(tx, dropped, abortedError);
    const undone = admitted.some(isAsking) ? await this.answer(tx, { fresh: kept, repeated: again, needless, admitted }) : NONE_HELD;
    if (begun.hasStored) {
      await this.close(tx, admitted, undone);
      attempt.hasStored = true;
    }
    if (records.length > 0) await this.recorder.put(tx, records);
    failpoint('cursor:after-move');
  }

  /** Of messages that are not handled, once that is committed. */
  private tellLater({ again, needless, dropped }: Readonly<Record<'again' | 'needless' | 'dropped', readonly CallOfMessage[]>>): void {
    if (again.length + needless.length + dropped.length === 0) return;
    this.context.afterCommit(() => {
      for (const { call } of again) emit('delivery:duplicate', () => call.facts());
      for (const { call } of needless) emit('delivery:needless', () => call.facts());
      for (const { call, message } of dropped)
        emit('saga:message-dropped', () => ({ ...call.facts(), sagaId: message.envelope.sagaId as string }));
    });
  }

  /** Only what can be undone waits for it. */
  private record(tx: Transaction, fresh: readonly CallOfMessage[]): Recorded | Promise<Recorded> {
    const { undo } = this.subscription;
    return undo === undefined
      ? { kept: fresh, dropped: [], repeated: [] }
      : recordParts(this.context.store.choreography, tx, { undo, calls: fresh });
  }

  private async answer(
    tx: Transaction,
    { fresh, repeated, needless, admitted }: Remembered & { readonly admitted: readonly ReadableMessage[] },
  ): Promise<ReadonlySet<OpenedMessage>> {
    await this.answering.answer(tx, fresh);
    await this.answering.answerNeedless(needless);
    // After the others: a batch may hold a request twice.
    const undone = await this.answering.answerAgain(tx, repeated);
    await this.context.receipts.give(tx, admitted.map(envelopeOf), {
      subscription: this.subscription.spec.name,
      transport: this.subscription.transport,
      status: 'consumed',
    });
    return undone;
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
  ): { readonly admitted: readonly ReadableMessage[]; readonly records: readonly Unattempted[] } {
    const { blocksKeys } = keyRuleOf(this.subscription);
    const blocked = new Set<string>();
    const admitted: ReadableMessage[] = [];
    const records: Unattempted[] = [];
    for (const message of opened) {
      const key = message.envelope?.key;
      const waits = hasTurn(message) && (held.has(message) || (key !== undefined && blocked.has(key)));
      const ended = waits ? undefined : this.ended(message);
      if (ended !== undefined && (blocksKeys || (this.gate.isOrdered && isForOthers(message))) && key !== undefined) blocked.add(key);
      if (ended !== undefined) records.push(ended);
      else if (waits) records.push(this.recorder.waiting(message));
      else if (isReadable(message)) admitted.push(message);
    }
    return { admitted, records };
  }

  /** What ends without an attempt: nobody can read it, its attempts are used up, or it is too old to be proven new. */
  private ended(message: OpenedMessage): Unattempted | undefined {
    if (!isReadable(message)) return this.recorder.unread(message);
    const usedUp = this.recorder.usedUp(message);
    const expired = usedUp === undefined ? expiredError(this.subscription, message, this.context.clock) : undefined;
    return expired === undefined ? usedUp : this.recorder.dead(message, expired);
  }

  /** Tells the messages that are to be handled, new where the subscription is idempotent, from repeats of what was. */
  private async remember(tx: Transaction, messages: readonly ReadableMessage[]): Promise<Omit<Remembered, 'needless'>> {
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

  private async close(tx: Transaction, messages: readonly ReadableMessage[], dropped: ReadonlySet<OpenedMessage>): Promise<void> {
    if (messages.length === 0) return;
    const closed = messages.map((message) => ({ ...succeeded(message), isDropped: dropped.has(message) }));
    await this.context.store.deliveries.close(tx, keyRuleOf(this.subscription), closed);
  }

  /** A process died at this place: what it may have died of is put aside, to be counted and handled one by one. */
  private async putAside(tx: Transaction, opened: readonly OpenedMessage[]): Promise<void> {
    const keys = new Set<string>();
    for (const message of opened) {
      const key = this.subscription.spec.ordering === 'key' ? message.envelope?.key : undefined;
      const isFirst = key === undefined || (!keys.has(key) && (await this.gate.isFree(tx, key)));
      if (key !== undefined) keys.add(key);
      await this.context.store.deliveries.record(tx, [this.recorder.suspect(message, isFirst)]);
    }
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
