import type { Transaction } from '../unit-of-work/transaction.port.js';

/** What a handler is about to do for a saga, so that it can be undone. */
export interface NewPart {
  readonly sagaId: string;
  /** The subscription whose stored deliveries undo it. */
  readonly subscriptionId: number;
  /** What the undo is given. */
  readonly message: {
    readonly source: string;
    readonly id: string;
    readonly type: string;
    readonly attributes: string;
    readonly body: Uint8Array;
  };
}

/** What became of a part: `aborted`: its saga is off; `repeated`: it is recorded already, so it was done before. Neither is recorded. */
export type PartOutcome = 'recorded' | 'aborted' | 'repeated';

/** What an abort found. */
export interface Abort {
  /** False: the saga was aborted already, and nothing was changed. */
  readonly isNew: boolean;
  /** Parts that are to be undone. */
  readonly parts: number;
}

/**
 * What this service did for choreographed sagas. A part that is to be undone becomes a stored delivery of its undo subscription, one part of a saga
 * at a time, the last one first; whoever discards such a delivery lets the next part go, too.
 */
export interface ChoreographyStore {
  /**
   * Records a part in the transaction that does it. From here to the end of `tx` nobody else records or aborts anything of the saga in this service,
   * so parts have the order of their commits.
   *
   * @throws HF_SAGA_BUSY when another transaction has the saga for longer than a short while
   */
  record(tx: Transaction, part: NewPart): Promise<PartOutcome>;
  /** Marks a saga as aborted, known here or not, and lets its last part go. @throws HF_SAGA_BUSY as `record` */
  abort(tx: Transaction, saga: { readonly id: string; readonly reason: string }): Promise<Abort>;
  /** A part was undone in `tx`: the one before it is next. False when there is none. */
  undone(tx: Transaction, sagaId: string): Promise<boolean>;
  /** Deletes at most `limit` sagas of which nothing was heard for `keptMs` and nothing is being undone, with their parts; how many. */
  trim(keptMs: number, limit: number): Promise<number>;
}
