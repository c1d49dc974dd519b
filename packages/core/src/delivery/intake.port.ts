import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { Attributes } from '../message/attributes.js';
import type { Envelope } from '../message/envelope.js';
import type { Failure } from './failure.js';

/** A message as it came, not yet decoded. */
export interface Incoming {
  /** CloudEvents type, to choose the class. */
  readonly type: string;
  /** Attributes as flat JSON text (see `attributesOf`). */
  readonly attributes: string;
  /** The same before they were text, where the source has them so, and all of them texts: they need not be read again. */
  readonly read?: Attributes | undefined;
  readonly body: Uint8Array;
  /** Where the source keeps it (`lane/id` in the log, the row of a stored delivery): equal means the same place, not the same message. */
  readonly place: string;
  /** Lane of the log, where it has one. */
  readonly lane: number | undefined;
  /** When the store wrote it, on the store's clock; undefined when it never was in a store. */
  readonly writtenAt: Date | undefined;
  /** How long ago that was when it was taken, on the store's clock; without it the clock of this process has to do. */
  readonly ageMs?: number;
  /** Attempts finished or started before this one. */
  readonly attempts: number;
  /** True when the last of them ended by itself and its failure is stored; else it may have ended with its process. */
  readonly hasFailure?: boolean;
  /** True when this attempt was counted before it began, because a process died near the message. */
  readonly isCounted?: boolean;
  /** True when it may have been handed over before. */
  readonly isRedelivery: boolean;
  /** How often a broker got it back from a process that had not settled it; undefined where nobody counts that. */
  readonly timesReturned?: number;
  /** An operator asked for it: the inbox's window does not count. */
  readonly hasConsent: boolean;
  /** The stored delivery it comes from; undefined for a first hand-over. */
  readonly deliveryId: string | undefined;
}

/** What an intake gave. */
export interface Taken {
  readonly messages: readonly Incoming[];
  /** True when the source knows of more right now. */
  readonly hasMore: boolean;
  /** True when the commit moves the place on, also without messages: rows of other types were passed. */
  readonly isMoved: boolean;
  /** A process died holding this place: its next message must be counted before it is handled. */
  readonly isSuspect: boolean;
  /** False when this subscription certainly has no stored deliveries, so that a success has none to close. */
  readonly hasStored: boolean;
  /**
   * There when they are ours only with the next statement of the transaction: sends it, before any handler. `hasStored` is right from then on.
   * @throws HF_LEASE_LOST when somebody else has them
   */
  readonly confirm?: () => Promise<void>;
}

/** Messages that are ours for a time, outside any transaction. */
export interface Lease extends Taken {
  /** Keeps them for another term. @throws HF_LEASE_LOST when somebody else has them */
  renew(): Promise<void>;
  /** Consumes them, in `tx` where the source is a store. @throws HF_LEASE_LOST when somebody else has them */
  finish(tx: Transaction | undefined): Promise<void>;
  /** Gives them back at once. */
  release(): Promise<void>;
}

/** Why a message is given up where there is no store to keep it. */
export interface DeadLetterReason {
  readonly subscription: string;
  /** Attempts that were made; 0 for what nobody could read. */
  readonly attempts: number;
  readonly failure: Failure;
  /** When it was given up, on the clock of this process. */
  readonly at: Date;
}

/** What one transaction of a broker does. */
export interface BrokerTransaction {
  /** Messages of the intake, consumed by it. */
  readonly consumed: readonly Incoming[];
  readonly published: readonly Envelope[];
  /** Those of `consumed` that are put away as dead. */
  readonly dead: readonly { readonly message: Incoming; readonly reason: DeadLetterReason }[];
}

/**
 * How messages end: consumed for good, given back, or dead. The last is only said without a store: with one, a dead letter is a row, and the message
 * is consumed.
 */
export type Settlement = 'ack' | 'requeue' | { readonly deadLetter: DeadLetterReason };

/** How a message is taken again. */
export interface RetakeTerms {
  /**
   * Waits for the end of whoever has the place, instead of leaving it to him: a session of ours that was cut off may have it for a moment.
   * Afterwards it is certain whether it had committed, where a store keeps the place.
   */
  readonly waits?: boolean;
}

/**
 * Where the engine takes the messages of one subscription from: a place in the log, what a broker handed over, or the stored deliveries
 * that are due. The same code handles all of them, because it may take the same messages several times until one transaction commits.
 */
export interface Intake {
  /** Takes up to `limit` messages inside `tx`: consumed when it commits, back when it does not. Nothing to take gives no messages. */
  take(tx: Transaction, limit: number): Promise<Taken>;
  /** Takes this very message again inside `tx`, to store what became of it; false when somebody else has dealt with it meanwhile. */
  retake(tx: Transaction, message: Incoming, terms?: RetakeTerms): Promise<boolean>;
  /** Takes up to `limit` messages without a transaction of the caller's; undefined when there are none. */
  lease(limit: number, ttlMs: number): Promise<Lease | undefined>;
  /**
   * After the commit (or lease end): what was consumed is gone for good, `requeue` gives back what was not. Nothing to do for a store. A dead letter is
   * put away with its reason before the message is consumed, so that a crash in between leaves it twice and never nowhere; when that fails it throws,
   * and the message is still in hand.
   */
  settle(messages: readonly Incoming[], outcome: Settlement): Promise<void>;
  /**
   * With the capability `fencedOffsets`, for subscriptions that ask for it: all of that in one transaction of the broker, or nothing. When it resolves it is
   * committed, and what was consumed is gone for good.
   *
   * @throws HF_PUBLISH_FAILED and HF_COMMAND_UNROUTABLE when the broker will not have what is published, HF_LEASE_LOST when the messages are somebody else's;
   * HF_UOW_COMMIT_UNKNOWN when this process ends before it knows. With any other error, too, nothing of it is kept
   */
  transact?(transaction: BrokerTransaction): Promise<void>;
}
