import type { MessageRef } from '../message/message.js';

/** Who does it and why; kept in the audit table. */
export interface OperatorAction {
  by: string;
  reason?: string;
}

/** A page of a list. */
export interface Page {
  /** At most this many, 1 to 1000; default 100. */
  limit?: number;
  /** `next` of the page before. */
  cursor?: string | undefined;
}

/** Items of one page, and where the next begins. */
export interface Paged<T> {
  readonly items: readonly T[];
  /** Give it as `cursor` to get the page after; undefined on the last. */
  readonly next: string | undefined;
}

/** A filter with at least one of its fields. */
export type AtLeastOne<T> = { [K in keyof T]-?: Required<Pick<T, K>> & Partial<Omit<T, K>> }[keyof T];

/** Which dead letters: every given field must match. */
export interface DeadLetterFilter {
  subscription?: string;
  type?: string;
  key?: string;
  /** Error code. */
  code?: string;
  /** Same subscription and same error, as given by `groups`. */
  group?: string;
  since?: Date;
  until?: Date;
}

/** Dead letters chosen by id or by a filter that names at least one thing. */
export type DeadLetterChoice = string | AtLeastOne<DeadLetterFilter>;

/** A message whose attempts are used up, or that nobody could read. */
export interface DeadLetter {
  readonly id: string;
  readonly subscription: string;
  readonly message: MessageRef & { readonly type: string; readonly key: string | undefined };
  readonly attempts: number;
  readonly error: { readonly code: string; readonly message: string; readonly stack: string | undefined };
  readonly group: string;
  readonly deadAt: Date;
  readonly body: Uint8Array;
}

/** Dead letters as data; inject it by this class. */
export abstract class DeadLetters {
  /** One page, newest first. */
  abstract list(filter?: DeadLetterFilter & Page): Promise<Paged<DeadLetter>>;
  /** Counts per subscription and error, most first. */
  abstract groups(
    filter?: DeadLetterFilter,
  ): Promise<readonly { readonly group: string; readonly count: number; readonly sample: DeadLetter }[]>;
  /** One dead letter; undefined when there is none of this id. */
  abstract get(id: string): Promise<DeadLetter | undefined>;
  /**
   * Hands them to their own subscription again, with fresh attempts; the operator's word counts where a message is older than the inbox remembers. Those of
   * retired subscriptions stay, and are not counted.
   *
   * @throws HF_DEAD_LETTER_UNKNOWN
   * @throws HF_DEAD_LETTER_RETIRED when all of them are of retired subscriptions
   */
  abstract redrive(which: DeadLetterChoice, action: OperatorAction): Promise<{ readonly count: number }>;
  /** Gives them up for good. */
  abstract discard(which: DeadLetterChoice, action: OperatorAction & { reason: string }): Promise<{ readonly count: number }>;
}

/** A durable interest of one handler, as operators see it. */
export interface SubscriptionInfo {
  readonly name: string;
  readonly types: readonly string[];
  readonly state: 'active' | 'paused' | 'missing' | 'retired';
  /** Messages not yet handled; undefined where the transport cannot tell. */
  readonly backlog: number | undefined;
  /** Milliseconds since the oldest of them was written. */
  readonly oldestAgeMs: number | undefined;
  readonly deadLetters: number;
}

/** Subscriptions as rows; inject it by this class. */
export abstract class Subscriptions {
  abstract list(): Promise<readonly SubscriptionInfo[]>;
  /** Stops deliveries on every node until resumed, also over restarts. @throws HF_SUBSCRIPTION_RETIRED, HF_SUBSCRIPTION_UNKNOWN */
  abstract pause(name: string, action: OperatorAction): Promise<void>;
  /** Lets a paused subscription go on from where it stands. @throws HF_SUBSCRIPTION_RETIRED, HF_SUBSCRIPTION_UNKNOWN */
  abstract resume(name: string, action: OperatorAction): Promise<void>;
  /** Says that a subscription without a handler is meant to be gone. What was still to be tried becomes dead letters. @throws HF_SUBSCRIPTION_IN_USE while a node serves it, HF_SUBSCRIPTION_UNKNOWN */
  abstract retire(name: string, action: OperatorAction): Promise<void>;
}

/**
 * Why a message is parked: the broker refused it, a command has no owner there, it was never confirmed while others were, it is beyond the limits of this
 * process, or it waits behind one of its key that is parked.
 */
export type ParkedReason = 'rejected' | 'unroutable' | 'unconfirmed' | 'unreadable' | 'behind';

/** Which parked messages: every given field must match. */
export interface ParkedFilter {
  /** Name of the transport that did not take them. */
  transport?: string;
  type?: string;
  key?: string;
  reason?: ParkedReason;
  /** Parked at or after. */
  since?: Date;
  /** Parked before. */
  until?: Date;
}

/** Parked messages chosen by id or by a filter that names at least one thing. */
export type ParkedChoice = string | AtLeastOne<ParkedFilter>;

/** A message that a broker did not take, or that waits behind one of its key. */
export interface ParkedMessage {
  readonly id: string;
  readonly message: MessageRef & { readonly type: string; readonly key: string | undefined };
  readonly lane: number;
  /** Name of the transport that did not take it. */
  readonly transport: string;
  readonly reason: ParkedReason;
  readonly error: string | undefined;
  /** How often it was sent again since it was parked. */
  readonly attempts: number;
  /** Undefined for what waits behind another one: it goes as soon as that one has gone. */
  readonly nextAttemptAt: Date | undefined;
  readonly parkedAt: Date;
  readonly body: Uint8Array;
}

/** Proof that one subscription dealt with one message. */
export interface Receipt {
  readonly subscription: string;
  readonly service: string;
  /** `dead-lettered` becomes `consumed` when it is redriven and succeeds. */
  readonly status: 'consumed' | 'dead-lettered';
  /** When its commit was made, on the clock of the database that has the receipt. */
  readonly at: Date;
}

/** What waits to be sent; inject it by this class. */
export abstract class Outbox {
  abstract stats(): Promise<{
    /** Rows not yet passed by the relay, or on the database transport by the slowest subscription. */
    readonly backlog: number;
    /** Milliseconds since the oldest of them was written. */
    readonly oldestAgeMs: number;
    readonly scheduled: number;
    /** Messages that a broker did not take, and those of their keys behind them. */
    readonly parked: number;
    /** The same by transport, the default first. */
    readonly transports: readonly {
      readonly transport: string;
      readonly backlog: number;
      readonly oldestAgeMs: number;
      readonly parked: number;
    }[];
    /** Half messages that were registered, and are neither sent nor dropped yet: with `oldestHalfMessageAgeMs` above a few seconds, a transaction is still open. */
    readonly halfMessages: number;
    /** Milliseconds since the oldest of them was registered. */
    readonly oldestHalfMessageAgeMs: number;
    /** `owner`: id of the process that sends it, as `node:started` told; undefined while nobody does. */
    readonly lanes: readonly {
      readonly lane: number;
      readonly transport: string;
      readonly owner: string | undefined;
      readonly backlog: number;
    }[];
  }>;
  /** Receipts for a message of this service that was published with `receipt: true`, as far as they have come; kept for 7 days. */
  abstract receipts(id: string): Promise<readonly Receipt[]>;
  /**
   * True when every subscription that was known in this database when the message was published, and everyone else who gave a receipt, has consumed it.
   * False for a message that did not ask for receipts, or that nobody subscribes to.
   */
  abstract isConsumed(id: string): Promise<boolean>;
  /** One page of what is parked, oldest first. */
  abstract parked(filter?: ParkedFilter & Page): Promise<Paged<ParkedMessage>>;
  /** Sends them again now instead of when they are due. Within a key the order stays. @throws HF_PARKED_UNKNOWN for an id that is none */
  abstract resume(which: ParkedChoice, action: OperatorAction): Promise<{ readonly count: number }>;
  /** Gives them up for good; what waits behind them is sent. @throws HF_PARKED_UNKNOWN for an id that is none */
  abstract discard(which: ParkedChoice, action: OperatorAction & { reason: string }): Promise<{ readonly count: number }>;
  /**
   * Gives up all that waits for a transport that no process has any more, with what is parked of it.
   *
   * @param transport its name in the options
   * @throws HF_TRANSPORT_DISCARD while its relay runs in a process, for one that the log has no lanes for, and for the default
   */
  abstract discardTransport(transport: string, action: OperatorAction & { reason: string }): Promise<{ readonly count: number }>;
}
