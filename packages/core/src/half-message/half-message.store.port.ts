import type { Transaction } from '../unit-of-work/transaction.port.js';

/** Where a message of a unit lies in the register. */
export interface HalfMessageRef {
  readonly unitId: string;
  /** From 0, in the order in which the unit published. */
  readonly ordinal: number;
}

/** A message that waits for the outcome of its unit. It has no key: nothing is promised about its order. */
export interface HalfMessage extends HalfMessageRef {
  /** Name of the transport that carries it, in whose lanes of the log it goes if it is not sent at once. */
  readonly transport: string;
  readonly type: string;
  readonly attributes: string;
  readonly body: Uint8Array;
}

/** A unit whose messages are registered. */
export interface RegisteredUnit {
  readonly unitId: string;
  /** What `register` gave back. */
  readonly server: string;
}

/** Messages whose unit's outcome is known. */
export interface SettledHalfMessages {
  /** Sent, or of a unit that was rolled back: deleted. */
  readonly gone: readonly HalfMessageRef[];
  /** Committed and not sent: moved into the log, whose readers carry them from there. */
  readonly logged: readonly HalfMessageRef[];
}

/** What was found out about one unit. `unknown`: its transaction is open or prepared. */
export interface CheckedUnit {
  readonly unitId: string;
  readonly outcome: 'committed' | 'rolled-back' | 'unknown';
  /** Its messages in the register. */
  readonly messages: number;
}

/** How a check-back goes about it. */
export interface CheckBackTerms {
  /** Units at most. */
  readonly limit: number;
  /** Wait before what is unknown is asked about again. */
  readonly againMs: number;
}

/** What a check-back came to. */
export interface CheckBack {
  readonly units: readonly CheckedUnit[];
  /** Lanes of the log that were written to. */
  readonly lanes: readonly number[];
}

/**
 * The register of messages whose unit has not committed yet, and the guard row by which a unit's outcome is decided once and for all: whoever writes it
 * first has decided, the COMMIT of the unit itself or a check-back.
 *
 * Everything here is asked of the primary.
 */
export interface HalfMessageStore {
  /**
   * Writes messages down, apart from any transaction, before their unit commits. No crash takes them back that leaves the commit. Never waits for a
   * connection of the pool: whoever calls it holds one.
   *
   * @param checkAfterMs when a check-back may ask about them
   * @returns the server that has them, for `commitWith`
   */
  register(messages: readonly HalfMessage[], checkAfterMs: number): Promise<string>;
  /**
   * Writes, with the COMMIT of `tx`, that the unit is committed. COMMIT is refused with HF_HALF_MESSAGE_ROLLED_BACK when a check-back was first, and with
   * HF_HALF_MESSAGE_SERVER when it went to another server than the messages, or to one that has started again since.
   */
  commitWith(tx: Transaction, unit: RegisteredUnit): Promise<void>;
  /** Takes messages out of the register. What somebody else has in work, or has dealt with, is left to him. Gives back the lanes of the log written to. */
  settle(settled: SettledHalfMessages): Promise<readonly number[]>;
  /**
   * Asks about units whose messages have waited too long: writes that they are rolled back, unless they have written first that they are committed. Then
   * deletes the messages of the one and moves those of the other into the log. A unit whose transaction is open or prepared is asked about later. On
   * several processes at once each message is dealt with by one of them.
   */
  checkBack(terms: CheckBackTerms): Promise<CheckBack>;
  /** Deletes decisions older than that about which nobody can ask any more, a bounded number; how many. One by a check-back is kept for 30 days at least. */
  trim(retentionMs: number, limit: number): Promise<number>;
}
