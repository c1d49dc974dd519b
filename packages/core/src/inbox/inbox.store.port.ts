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
}

/** What handlers of commands answered, beside the memory that they did. */
export interface ResultStore {
  /** Keeps a result (JSON) beside a key that this transaction remembered. */
  keep(tx: Transaction, result: { readonly subscriptionId: number; readonly key: InboxKey; readonly result: string }): Promise<void>;
  /** The result kept beside a key; undefined when there is none. */
  resultOf(tx: Transaction, key: { readonly subscriptionId: number; readonly key: InboxKey }): Promise<string | undefined>;
}

/** Remembered deliveries. A conflict is read, never guessed: only `done` means "handled before". */
export interface InboxStore extends ResultStore {
  /**
   * Remembers the keys in `tx`, in one statement sorted by key; which of them are new, in the order given. Waits for a concurrent
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
