import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { KeyRule, KeyStore } from './delivery.store.port.js';
import type { MessageInTurn } from './opened-message.js';
import type { Subscription } from './subscription.js';

/** What the deliveries of a key of this subscription wait for. */
export function keyRuleOf({ spec, onDeadLetter }: Subscription): KeyRule {
  return { subscriptionId: spec.id as number, blocksKeys: spec.ordering === 'key' && onDeadLetter === 'block' };
}

/** Keeps the order of keys: a message whose key has an unfinished delivery waits behind it. Does nothing for unordered subscriptions. */
export class KeyGate {
  /** False: there is nothing to wait for. */
  readonly isOrdered: boolean;
  private readonly rule: KeyRule;

  constructor(
    private readonly store: KeyStore,
    subscription: Subscription,
  ) {
    this.isOrdered = subscription.spec.ordering === 'key';
    this.rule = keyRuleOf(subscription);
  }

  /** Locks the keys of these messages and lets through those whose turn it is; the others go to `hold`. A stored delivery that was taken is the first of its key. */
  async admit<Each extends MessageInTurn>(
    tx: Transaction,
    messages: readonly Each[],
    hold: (message: Each) => void,
  ): Promise<readonly Each[]> {
    if (!this.isOrdered || messages.length === 0) return messages;
    const blocked = await this.lock(
      tx,
      messages.map(({ envelope }) => envelope.key as string),
    );
    return messages.filter((message) => {
      const isFree = message.incoming.deliveryId !== undefined || !blocked.has(message.envelope.key as string);
      if (!isFree) hold(message);
      return isFree;
    });
  }

  /** Locks a key; true when nothing of it is unfinished. */
  async isFree(tx: Transaction, key: string): Promise<boolean> {
    return !(await this.lock(tx, [key])).has(key);
  }

  private lock(tx: Transaction, keys: readonly string[]): Promise<ReadonlySet<string>> {
    return this.store.lockKeys(tx, { ...this.rule, keys });
  }
}
