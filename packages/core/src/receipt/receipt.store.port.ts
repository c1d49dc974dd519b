import type { Receipt } from '../operations/operators.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';

/** A message whose publisher asked for receipts. */
export interface ExpectedReceipts {
  readonly id: string;
  readonly type: string;
  /** Milliseconds until it is delivered at the earliest. */
  readonly delayMs: number;
}

/** A receipt, with the message it is about. */
export interface GivenReceipt extends Omit<Receipt, 'at'> {
  readonly message: { readonly source: string; readonly id: string };
}

/** Who dealt with which messages; rows for those only whose publisher asked. */
export interface ReceiptStore {
  /** Notes in the transaction that publishes which subscriptions are known, of any service in this database. Of messages of this service. */
  expect(tx: Transaction, messages: readonly ExpectedReceipts[]): Promise<void>;
  /** Notes receipts in the transaction that deals with the messages. What was consumed stays consumed. */
  give(tx: Transaction, receipts: readonly GivenReceipt[]): Promise<void>;
  /** What is known of a message of this service: receipts that were given, and subscriptions of which one is still expected. */
  find(id: string): Promise<{ readonly given: readonly Receipt[]; readonly expected: readonly string[] }>;
  /** Deletes at most `limit` that nobody needs to keep any longer; how many it did. */
  trim(limit: number): Promise<number>;
}
