import type { ReceivedReply } from './received-reply.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';

/** A reply on its way to a process that shares the database. */
export interface StoredReply extends ReceivedReply {
  /** Of that process, as its requests named it; of unknown origin. */
  readonly address: string;
}

/** A reply in the store. */
export interface KeptReply extends ReceivedReply {
  /** Number of its row, as text. */
  readonly id: string;
}

/** Replies between processes that share a database, where no broker carries them. */
export interface ReplyStore {
  /** Writes replies in `tx`, which survive the server once it has committed, as rows of the log do. Waits for nobody. */
  put(tx: Transaction, replies: readonly StoredReply[]): Promise<void>;
  /** What has come to an address and was not removed, the oldest first. */
  read(address: string, limit: number): Promise<readonly KeptReply[]>;
  /** Removes replies that were read. Not promised: that it survives a crash; what comes again is dropped. */
  remove(replies: readonly KeptReply[]): Promise<void>;
  /** Deletes what nobody has removed for `keptMs`, a bounded number; how many. */
  trim(keptMs: number, limit: number): Promise<number>;
}
