import { classify } from '../errors/classify.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import type { HandOver } from '../transport/transport.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { FRAMEWORK_UNIT } from '../unit-of-work/framework-unit.js';
import { reasonOfUnknown } from '../unit-of-work/unknown-commit.js';
import type { FailureRecorder } from './failure-recorder.js';
import type { Incoming, Intake, RetakeTerms, Taken } from './intake.port.js';
import type { KeyGate } from './key-gate.js';
import type { OpenedMessage } from './opened-message.js';
import type { HandlingContext } from './handling-context.js';
import type { Subscription } from './subscription.js';

/** For how long a look at the inbox would remember something, were it not undone. */
const LOOK_MS = 1000;

/** Thrown to undo a look: nothing is to be stored of the message. */
class AlreadySettled extends Error {}

/** What the unit that failed had taken. */
export interface FailedAttempt {
  readonly tx: Transaction | undefined;
  readonly taken: Taken | undefined;
  readonly opened: readonly OpenedMessage[];
  /** Calls that were made. */
  readonly handled: readonly unknown[];
  /** What the inbox was told of them, if it knows them at all. */
  readonly remembered: readonly InboxKey[];
  /** A handler has thrown, so that nothing of it was committed, whatever it threw. */
  readonly hasThrown: boolean;
}

/** What is stored of a message that failed. */
interface Failed extends RetakeTerms {
  readonly error: unknown;
}

/** What it works with. */
export interface FailedUnitParts {
  readonly gate: KeyGate;
  readonly recorder: FailureRecorder;
  /** Takes and handles the next message by itself. */
  readonly alone: (intake: Intake) => Promise<HandOver>;
}

/** What becomes of messages whose unit has failed: they are handled one by one, the failure of one is stored, or they stay where they are. */
export class FailedUnit {
  constructor(
    private readonly context: HandlingContext,
    private readonly subscription: Subscription,
    private readonly parts: FailedUnitParts,
  ) {}

  async deal(intake: Intake, { tx, taken, opened, handled, remembered, hasThrown }: FailedAttempt, error: unknown): Promise<HandOver> {
    // Whatever kept suspects from being put aside is no failure of theirs: they stay where they are, and suspect.
    if (classify(error).category === 'cancelled' || taken === undefined || taken.messages.length === 0 || taken.isSuspect)
      return this.leave(intake, taken?.messages ?? [], error);
    const isUnknown = !hasThrown && isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN');
    // A session of ours may still have the place: whoever does not wait for its end would take it for somebody else's.
    const waits = isUnknown || tx?.isCutOff === true;
    const isOfBroker = taken.messages.some(isFromBroker);
    const [message] = opened;
    if (taken.messages.length > 1)
      return waits && !isOfBroker ? this.afterEnd(intake, taken.messages) : this.oneByOne(intake, taken.messages.length);
    // Where nothing was called, as for a repeat, it has not failed: it is handed over again.
    if (message === undefined || (isUnknown && isOfBroker && handled.length === 0)) return this.leave(intake, taken.messages, error);
    if (isUnknown && isOfBroker) return this.afterUnknownOfBroker(intake, message, { error, remembered });
    return this.record(intake, message, { error: isUnknown ? reasonOfUnknown(error) : error, waits });
  }

  /**
   * A broker's message has no place in the store that tells whether the lost COMMIT took effect. The inbox row tells, if there is one; without it the attempt
   * counts as failed, and the handler may run twice.
   */
  private async afterUnknownOfBroker(
    intake: Intake,
    message: OpenedMessage,
    { error, remembered: keys }: { readonly error: unknown; readonly remembered: readonly InboxKey[] },
  ): Promise<HandOver> {
    const { store, runUnit } = this.context;
    let isDone = false;
    try {
      if (keys.length > 0)
        await runUnit(FRAMEWORK_UNIT, async (tx) => {
          // Waits for whoever was cut off in its COMMIT.
          const told = { subscriptionId: this.subscription.spec.id as number, keys, ttlMs: LOOK_MS };
          isDone = (await store.inbox.remember(tx, told)).includes(false);
          throw new AlreadySettled(); // a look, nothing else
        });
    } catch (failure) {
      if (!(failure instanceof AlreadySettled)) return this.leave(intake, [message.incoming], failure);
    }
    // It is handed over again then, and found to be a repeat.
    return isDone ? 'worked' : this.record(intake, message, { error: reasonOfUnknown(error) });
  }

  /** Handles them one by one unless they were committed: the place tells, once whoever was cut off has ended. */
  private async afterEnd(intake: Intake, messages: readonly Incoming[]): Promise<HandOver> {
    let isThere = false;
    try {
      await this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
        isThere = await intake.retake(tx, messages[0] as Incoming, { waits: true });
        throw new AlreadySettled(); // a look, nothing else
      });
    } catch (error) {
      if (!(error instanceof AlreadySettled)) return this.leave(intake, messages, error);
    }
    return isThere ? this.oneByOne(intake, messages.length) : 'worked';
  }

  /** They stay where they are. */
  private async leave(intake: Intake, messages: readonly Incoming[], error: unknown): Promise<HandOver> {
    await intake.settle(messages, 'requeue');
    if (classify(error).category !== 'cancelled')
      this.context.logger.warn('messages could not be taken; it is tried again', { subscription: this.subscription.spec.name, error });
    return 'blocked';
  }

  private async oneByOne(intake: Intake, count: number): Promise<HandOver> {
    let last: HandOver = 'worked';
    // Those that a pause keeps from their turn stay where they are.
    for (let done = 0; done < count && last === 'worked' && this.context.failures.isDelivering; done += 1)
      last = await this.parts.alone(intake);
    return last === 'blocked' ? 'blocked' : 'worked';
  }

  /**
   * Stores the failure in a transaction of its own, which takes the same place again: if somebody else moved past the message meanwhile,
   * or the commit we were told had failed did succeed, there is nothing to store.
   */
  private async record(intake: Intake, message: OpenedMessage, { error, waits }: Failed): Promise<HandOver> {
    try {
      await this.context.runUnit(FRAMEWORK_UNIT, async (tx) => {
        if (!(await intake.retake(tx, message.incoming, { waits }))) throw new AlreadySettled();
        await this.parts.recorder.recordInTurn(tx, message, { error, gate: this.parts.gate });
      });
    } catch (failure) {
      if (failure instanceof AlreadySettled) return 'worked';
      const isUnknown = isHoldfastError(failure, 'HF_UOW_COMMIT_UNKNOWN');
      const text = isUnknown
        ? 'whether a failure was stored is not known; the message is looked for again'
        : 'a failure could not be stored; the message stays where it is';
      this.context.logger.warn(text, { subscription: this.subscription.spec.name, error: failure });
      await intake.settle([message.incoming], 'requeue');
      return 'blocked';
    }
    await intake.settle([message.incoming], 'ack');
    this.context.onStored();
    return 'worked';
  }
}

/** Neither in the log nor a stored delivery. */
export function isFromBroker({ lane, deliveryId }: Incoming): boolean {
  return lane === undefined && deliveryId === undefined;
}
