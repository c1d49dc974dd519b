import type { Transaction } from '../unit-of-work/transaction.port.js';

/** What makes two calls the same, within a subscription. */
export interface InboxKey {
  /** Source of the message; empty for a business key. */
  readonly source: string;
  /** Message id, or the business key. */
  readonly id: string;
}

/** What a claim outside a transaction found. */
export type InboxClaim =
  | { readonly state: 'claimed'; readonly token: string }
  | { readonly state: 'done'; readonly result: string | undefined }
  /** A request that was undone before, or refused, with what was answered then: it is not to be handled any more. */
  | { readonly state: 'undone'; readonly result?: string | undefined }
  | { readonly state: 'held'; readonly forMs: number };

/** What is to be remembered. */
export interface Memory {
  readonly subscriptionId: number;
  readonly keys: readonly InboxKey[];
  readonly ttlMs: number;
}

/** A claim and how long it holds from now. */
export interface ClaimTerm {
  readonly subscriptionId: number;
  readonly key: InboxKey;
  readonly token: string;
  readonly leaseMs: number;
}

/** How a claim ends: done with its result (JSON), or (undefined) given back. */
export interface ClaimEnd {
  readonly subscriptionId: number;
  readonly key: InboxKey;
  readonly token: string;
  readonly done: { readonly result: string | undefined } | undefined;
  /** Of one that is given back: that somebody began is remembered, so that whoever undoes the request does not take it for one that never ran. */
  readonly isBegun?: boolean;
}

/** What is remembered of a message. */
export interface Recalled {
  /** It was handled, or its claim has ended well. */
  readonly isDone: boolean;
  /** A request that was undone, or refused: it is not to be handled any more. */
  readonly isUndone: boolean;
  /** What was kept beside it (JSON); never of one that was undone. */
  readonly result: string | undefined;
}

/** A request as its own subscription remembers it, for whoever undoes it. */
export interface RememberedRequest {
  readonly subscriptionId: number;
  readonly key: InboxKey;
  /** How long it is remembered from now that it is undone. */
  readonly keepMs: number;
}

/**
 * What the memory of a request says. `none`: nothing; `claimed`: it is in work; `begun`: somebody began with it, outside any transaction, and is not known to be
 * at it any more; `cancelled`: it never ran and never will; `undoing`: its undoing has begun; `compensated`: it is undone.
 */
export type RequestMemory = 'none' | 'done' | 'claimed' | 'begun' | 'cancelled' | 'undoing' | 'compensated';

/** Keeps requests that were undone from running later. */
export interface RequestGuardStore {
  /**
   * Tells what is remembered of a request, and keeps that from changing until `tx` ends; of one that nobody knows it writes `cancelled`, so that it
   * never runs once `tx` is committed, and tells `none`. Waits for a concurrent transaction with the same request, and gives up with a retryable error after a
   * short while.
   */
  guard(tx: Transaction, request: RememberedRequest): Promise<RequestMemory>;
  /** Writes of a request that `tx` remembered that it never ran and never will, for as long as it is remembered. */
  cancel(tx: Transaction, request: Omit<RememberedRequest, 'keepMs'>): Promise<void>;
  /** Writes that a guarded request is undone, or, where it is not `isDone`, that its undoing has begun. Either way it never runs any more. */
  undo(tx: Transaction, request: RememberedRequest & { readonly isDone: boolean }): Promise<void>;
  /** Keeps what a guarded request was refused with (JSON), of which `none` was told: it stays `cancelled`, and never runs any more. */
  refuse(tx: Transaction, request: RememberedRequest & { readonly result: string }): Promise<void>;
}

/** What handlers of commands answered, beside the memory that they did. */
export interface ResultStore {
  /** Keeps a result (JSON) beside a key that this transaction remembered. */
  keep(tx: Transaction, result: { readonly subscriptionId: number; readonly key: InboxKey; readonly result: string }): Promise<void>;
  /** What is remembered of a key, and the result kept beside it. */
  recall(tx: Transaction, key: { readonly subscriptionId: number; readonly key: InboxKey }): Promise<Recalled>;
}

/** Remembered deliveries. A conflict is read, never guessed: only `done` means "handled before". */
export interface InboxStore extends ResultStore, RequestGuardStore {
  /**
   * Remembers the keys in `tx`, in one statement sorted by key; which of them are new, in the order given; one that was undone is not. Waits for a concurrent
   * transaction with the same key, and gives up with a retryable error after a short while.
   */
  remember(tx: Transaction, memory: Memory): Promise<readonly boolean[]>;
  /** Takes a claim with a lease, outside any transaction; an ended lease is taken over. */
  claim(wanted: Omit<ClaimTerm, 'token'> & { readonly ttlMs: number }): Promise<InboxClaim>;
  /** Keeps a claim for another term. @throws HF_LEASE_LOST */
  renew(claim: ClaimTerm): Promise<void>;
  /** Ends a claim, in `tx` when given. @throws HF_LEASE_LOST when somebody took it over */
  finish(claim: ClaimEnd, tx?: Transaction): Promise<void>;
  /** Deletes what is older than its ttl, a bounded number; how many. */
  trim(limit: number): Promise<number>;
}
