import type { Lease, Taken } from '../delivery/intake.port.js';
import type { OperatorAction } from '../operations/operators.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';

/** A row for the log, before it has an id. */
export interface LogRow {
  readonly slot: number | undefined;
  readonly type: string;
  readonly key: string | undefined;
  readonly attributes: string;
  readonly body: Uint8Array;
  /** When it may enter the log: milliseconds from now on the store's clock, or a moment; undefined: at once. */
  readonly due: { readonly delayMs: number } | { readonly at: Date } | undefined;
  /** Name of the transport whose lanes it goes into; default: those of the default one. */
  readonly transport?: string;
}

/** How much is not sent. */
export interface UnsentStats {
  readonly backlog: number;
  readonly oldestAgeMs: number;
  readonly parked: number;
}

/** Numbers for operators and metrics. */
export interface LogStats extends UnsentStats {
  readonly scheduled: number;
  /** The same by transport, the default first. */
  readonly transports: readonly (UnsentStats & { readonly transport: string })[];
  /** Registered, and neither sent nor dropped yet. */
  readonly halfMessages: number;
  readonly oldestHalfMessageAgeMs: number;
  /** `owner`: the process whose relay sends it. */
  readonly lanes: readonly {
    readonly lane: number;
    readonly transport: string;
    readonly owner: string | undefined;
    readonly backlog: number;
  }[];
}

/** What waits for a transport that no live process has. */
export type Stranded = Pick<UnsentStats, 'backlog' | 'parked'> & { readonly transport: string };

/** The outbox: an append-only log in lanes, each numbered by a sequence of its own. */
export interface LogStore {
  /** Lanes of each transport; known after `ready`. */
  readonly lanes: number;
  /** The lanes of a transport, by its name; as they were at `ready`. A lane is of one transport, so that nothing in it waits for another's broker. */
  lanesOf(transport: string): readonly number[];
  /**
   * Writes the rows of one unit as its last statement: ids drawn late agree with every order the database enforced on the business rows.
   * Gives back the lanes written to. Dooms the unit (HF_STORE_SEQUENCE_BEHIND) when a lane's sequence gave an id it had given before.
   */
  append(tx: Transaction, rows: readonly LogRow[]): Promise<readonly number[]>;
  stats(): Promise<LogStats>;
  /** What waits for transports other than these whose relay runs in no process. */
  stranded(transports: readonly string[]): Promise<readonly Stranded[]>;
  /** Passes over all that a transport has not sent, and deletes what is parked of it; how many. @throws HF_TRANSPORT_DISCARD for the default one, one that is not known, and while its relay runs anywhere */
  discard(transport: string, action: OperatorAction): Promise<number>;
  /**
   * Milliseconds since the oldest row was written that the relay, or a subscription of this service that reads the log, has not passed, or the oldest half
   * message registered about which somebody should have asked; 0 when there is none. Cheap, however many wait.
   */
  lagMs(): Promise<number>;
}

/** A subscription's place in one lane. */
export interface CursorKey {
  readonly subscriptionId: number;
  readonly lane: number;
}

/** Cursors of subscriptions that read the log themselves. */
export interface CursorStore {
  /** Makes the missing cursors of a subscription, all in one snapshot. */
  create(subscriptionId: number, from: 'now' | 'earliest'): Promise<void>;
  /** Which cursors of these subscriptions seem to have something to read, going by their places as last seen: one cheap statement, whatever their number. */
  news(subscriptionIds: readonly number[]): Promise<readonly CursorKey[]>;
  /** Looks where these cursors stand now, for when another process may have moved them; those that still have something to read. */
  refresh(cursors: readonly CursorKey[]): Promise<readonly CursorKey[]>;
  /** Locks the cursor (or gives nothing when somebody has it), reads on from it and moves it with the commit of `tx`: one statement reads. */
  take(tx: Transaction, cursor: CursorKey, limit: number): Promise<Taken>;
  /** Locks the cursor until the end of `tx`, and waits for the transaction of whoever has it: what that has committed is seen by a `take` after it. */
  lock(tx: Transaction, cursor: CursorKey): Promise<void>;
  /** As `take`, without a transaction: the cursor is ours until `finish` moves it or the lease ends. */
  lease(cursor: CursorKey, limit: number, ttlMs: number): Promise<Lease | undefined>;
}

/** Scheduled rows that are in the log now. */
export interface MovedRows {
  readonly moved: number;
  /** Each once. */
  readonly lanes: readonly number[];
  /** Until the next one is due; undefined: there is none, or another process moves them now. */
  readonly nextDueMs: number | undefined;
}

/** House-keeping of the log; each verb works on the lanes it can lock now and leaves the others to whoever has them. */
export interface LogUpkeep {
  /** Looks for holes whose transactions have all ended and writes them off; how many were. */
  fence(): Promise<number>;
  /** Moves scheduled rows that are due into their lanes, in bounded batches. */
  moveScheduled(limit: number): Promise<MovedRows>;
  /** Deletes rows that everybody has passed and that are older than `retentionMs`, in bounded batches; how many. */
  trim(retentionMs: number): Promise<number>;
  /** Raises sequences that fell behind what was already read (a switch by logical replication does that); which lanes. */
  raiseSequences(): Promise<readonly { readonly lane: number; readonly from: bigint; readonly to: bigint }[]>;
}
