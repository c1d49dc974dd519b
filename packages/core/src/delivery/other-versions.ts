import { isHoldfastError } from '../errors/holdfast-error.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { isReadable, type MessageInTurn, type OpenedMessage, type UnreadableMessage } from './opened-message.js';
import type { Subscription } from './subscription.js';
import type { SubscriptionStore } from './subscription.store.port.js';

/** Wait before a message is looked at again that only processes of another version can handle: whoever looks may be one of them. */
const FIRST_DELAY_MS = 2000;
const LONGEST_DELAY_MS = 30_000;

/** The older it is the longer: where many have come of a type that nobody handles soon, the looks at them must leave time for others. */
export function waitForOthersMs(ageMs: number): number {
  return Math.min(LONGEST_DELAY_MS, Math.max(FIRST_DELAY_MS, ageMs / 10));
}

/** During a deploy two versions share a subscription, and each gets what only the other one has a class for. */
export class OtherVersions {
  constructor(
    private readonly store: Pick<SubscriptionStore, 'takenTypes'>,
    private readonly subscription: Subscription,
  ) {}

  /** The same messages, those marked that another version takes. Asks only when there is one that this version does not know. */
  mark(tx: Transaction, opened: readonly OpenedMessage[]): readonly OpenedMessage[] | Promise<readonly OpenedMessage[]> {
    return opened.some(isUnknown) ? this.marked(tx, opened) : opened;
  }

  private async marked(tx: Transaction, opened: readonly OpenedMessage[]): Promise<readonly OpenedMessage[]> {
    const taken = await this.store.takenTypes(tx, this.subscription.spec.id as number);
    return opened.map((message) =>
      isUnknown(message) && [...taken].some((noted) => this.isNoted(noted, message.envelope.type))
        ? { ...message, isForOthers: true }
        : message,
    );
  }

  /** Whether this is a type as it was declared: by itself, behind the name of its transport, or with an address in between. */
  private isNoted(noted: string, type: string): boolean {
    return noted === type || (noted.startsWith(`${this.subscription.transport}:`) && noted.endsWith(`:${type}`));
  }
}

function isUnknown(message: OpenedMessage): message is UnreadableMessage & MessageInTurn {
  return !isReadable(message) && message.envelope !== undefined && isHoldfastError(message.error, 'HF_MESSAGE_UNKNOWN_TYPE');
}
