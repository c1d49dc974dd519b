import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { Failure } from './failure.js';
import type { Incoming, Intake } from './intake.port.js';

/** What is stored of a delivery that did not succeed. */
export interface DeliveryRecord {
  readonly subscriptionId: number;
  readonly message: Incoming;
  /** Identity of the message, where it could be read. */
  readonly identity: { readonly source: string; readonly id: string } | undefined;
  readonly key: string | undefined;
  /** `retry` is due after `delayMs`; `waiting` behind an earlier one of its key; `dead` and `invalid` wait for a person. */
  readonly state: 'retry' | 'waiting' | 'dead' | 'invalid';
  readonly attempts: number;
  readonly delayMs: number;
  readonly failure: Failure | undefined;
  /** A process died near it: it is to be counted before it is handled, and handled alone. */
  readonly isSuspect: boolean;
}

/** A message that was handled. */
export interface SucceededMessage {
  readonly source: string;
  readonly id: string;
  /** The stored delivery it came from, which may not know its identity: nobody could read it when it was stored. */
  readonly deliveryId?: string;
  /** It was dropped, not handled: what else is stored of it stays, because it may tell of something that happened. */
  readonly isDropped?: boolean;
}

/** What the deliveries of a key wait for. */
export interface KeyRule {
  readonly subscriptionId: number;
  /** Whether a dead letter, or an invalid message, counts as unfinished: what comes after it waits. */
  readonly blocksKeys: boolean;
}

/** Keys of an ordered subscription that are to be looked at while nobody changes them. */
export interface KeyLock extends KeyRule {
  readonly keys: readonly string[];
}

/** Ordering keys: which of them have an unfinished delivery, and whose turn it is. */
export interface KeyStore {
  /** Locks the keys against each other until `tx` ends, and tells which of them have an unfinished delivery in this subscription. */
  lockKeys(tx: Transaction, lock: KeyLock): Promise<ReadonlySet<string>>;
  /**
   * Lets the first unfinished delivery of each key go, if it waits. What was redriven passes the dead letters that were left behind then, not one that has died
   * since.
   */
  free(tx: Transaction, lock: KeyLock): Promise<void>;
  /**
   * The same for every key of these subscriptions, each in a transaction of its own: for what waits although nothing ahead of it is unfinished,
   * because a process died between two steps, or the rule has changed. How many it let go. Cheap when there are none.
   */
  freeForgotten(rules: readonly KeyRule[]): Promise<number>;
}

/** Stored deliveries: what is to be tried again, what waits behind it, what is dead. */
export interface DeliveryStore extends KeyStore {
  /**
   * Begins a hand-over of what did not come from the store: `tx` carries the name of this process from now on, so that `reap` ends it should the process
   * freeze, since what it holds keeps everybody from its messages.
   *
   * @returns whether the subscription has stored deliveries, known from the next statement of `tx` on; what another copy of the message leaves meanwhile stays,
   * and is closed when it is tried again
   */
  begin(tx: Transaction, subscriptionId: number): Promise<{ readonly hasStored: boolean }>;
  /** Writes records in `tx`: new rows, or the row a message came from. */
  record(tx: Transaction, records: readonly DeliveryRecord[]): Promise<void>;
  /** Closes the stored deliveries of messages that succeeded, and frees their keys. */
  close(tx: Transaction, rule: KeyRule, messages: readonly SucceededMessage[]): Promise<void>;
  /**
   * Deletes the stored deliveries of a message that is not to be handled any more, but for those that somebody has in work just now.
   *
   * @returns their ordering keys, to be freed when `tx` is committed: the locks of keys come before those of the inbox, which `tx` may have
   */
  withdraw(
    tx: Transaction,
    message: { readonly subscriptionId: number; readonly source: string; readonly id: string },
  ): Promise<readonly string[]>;
  /** When the next stored deliveries of these subscriptions are due; subscriptions without any are left out. One statement. */
  due(subscriptionIds: readonly number[]): Promise<ReadonlyMap<number, DueTimes>>;
  /**
   * The due deliveries of a subscription as an intake; a taken one stays until it is closed or recorded again. Those in the other hands of this process are
   * left out: between a failure and its record nothing in the database says that somebody is at work on them.
   */
  intake(subscriptionId: number, hand?: Hand): Intake;
  /**
   * Counts an attempt of one suspect delivery that is due, commits that, and gives it alone as an intake: when the process dies of it, the count
   * stays. One is not counted again that this process has counted, or another one that was heard after its time for it was over: nobody died of it, and the
   * answer may have been lost. Suspect is what was recorded so, and what was due or leased when a process of its subscription died and nothing was recorded of it since.
   * Nobody else gets it for `leaseMs`, nor while it is taken or leased, unless this process is found dead; settled with `requeue` it is not counted.
   * Undefined when there is none.
   */
  countSuspect(subscriptionId: number, leaseMs: number): Promise<Intake | undefined>;
}

/** One of those in this process that work on stored deliveries, one at a time. */
export interface Hand {
  /** What the others work on. */
  readonly others: readonly string[];
  took(deliveryId: string): void;
}

/** Milliseconds until something is due, 0 for now; undefined when nothing waits. */
export interface DueTimes {
  readonly ms: number | undefined;
  /** Of deliveries near which a process died. */
  readonly suspectMs: number | undefined;
}
