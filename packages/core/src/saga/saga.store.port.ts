import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import type { Savepoint, Transaction } from '../unit-of-work/transaction.port.js';
import type { SagaArrival, SagaNote } from './saga-event.js';
import type { SagaProgress, SagaStatus } from './saga-progress.js';
import type { SagaFilter, SagaInstance } from './sagas.js';

/** A definition by its name and version. */
export interface SagaVersion {
  readonly saga: string;
  readonly version: number;
}

/** A definition with what its instances are tied to, as text. */
export interface SagaOutline extends SagaVersion {
  /** At most 400 characters. */
  readonly outline: string;
}

/** An instance that begins. */
export interface NewSaga extends SagaOutline {
  readonly id: string;
  readonly state: string;
  readonly progress: SagaProgress;
  readonly notes: readonly SagaNote[];
  /** Undefined: as long as it takes. */
  readonly timeoutMs: number | undefined;
  /** Id of the saga that is told of its end. */
  readonly parent?: string | undefined;
  /** This process works on it as soon as it is committed; else whoever looks first. */
  readonly isTaken: boolean;
}

/** A business key, and the instance that wants to hold it. */
export interface WantedLock {
  readonly key: string;
  readonly id: string;
}

/** An instance, locked by the transaction that read it. */
export interface StoredSaga extends SagaOutline {
  readonly id: string;
  /** Of the row, as text: another one when its id is used again. */
  readonly number: string;
  readonly state: string;
  readonly progress: SagaProgress;
  /** One more with every change that is written. */
  readonly revision: bigint;
  /** Processes that died with it in hand, since it was changed last; counted by claims. */
  readonly deaths: number;
  readonly isOverdue: boolean;
  readonly parent: string | undefined;
  /** The time on the clock of the database, in milliseconds. */
  readonly nowMs: number;
  /** What has come for it from elsewhere, the oldest first. */
  readonly arrived: readonly ArrivedEvent[];
}

/** Something that came for an instance, and waits to be seen by its next attempt. */
export interface ArrivedEvent {
  /** As text: a number of 64 bits. */
  readonly number: string;
  readonly event: SagaArrival;
}

/** A message that an instance waits for, by its type and key. */
export interface SignalKey {
  readonly type: string;
  readonly key: string;
}

/** What a change means beyond the instance itself. */
export interface SagaReach {
  /** Numbers of what had arrived, and is dealt with. */
  readonly seen: readonly string[];
  /** From now on it waits for these: what has come already arrives at once. */
  readonly awaits: readonly SignalKey[];
  readonly awaitsNoMore: readonly SignalKey[];
  /** What other instances are told: a parent, or children. */
  readonly tells: readonly SagaTelling[];
  /** The business key that the next one may have. */
  readonly frees?: string | undefined;
}

/** Something for an instance of this service. */
export interface SagaTelling {
  readonly id: string;
  readonly event: SagaArrival;
}

/** What a change leaves behind. */
export interface SagaChange {
  readonly id: string;
  /** Undefined: as it was. */
  readonly state: string | undefined;
  readonly progress: SagaProgress;
  readonly notes: readonly SagaNote[];
  /** When it is to be worked on next; undefined: not by itself. */
  readonly afterMs: number | undefined;
  /** This process goes on with it; else whoever looks first. */
  readonly isTaken: boolean;
  /** What arrives waits until a person has looked: there is nobody who could deal with it. */
  readonly isDeaf?: boolean | undefined;
  /** Undefined: nothing. */
  readonly reach?: SagaReach | undefined;
}

/** What a look for work found. */
export interface ClaimedSagas {
  /** Ids, the longest due first; from now on this process works on them. */
  readonly ids: readonly string[];
  /** Until the next one is due that is not yet; undefined: none. */
  readonly nextDueMs: number | undefined;
}

/** What a look for work goes by. */
export interface ClaimTerms {
  /** Definitions this process has. */
  readonly versions: readonly SagaVersion[];
  /** Instances it works on already. */
  readonly inHand: readonly string[];
  /** At most. */
  readonly limit: number;
}

/** Instances of one definition that have not ended. */
export interface OpenSagas extends SagaOutline {
  readonly count: number;
}

/** Instances that begin. */
export interface SagaStartStore {
  /** Writes a new instance in `tx`. Gives the name of the saga that has this id: when it was there before, nothing was written. */
  start(tx: Transaction, saga: NewSaga): Promise<{ readonly isStarted: boolean; readonly saga: string | undefined }>;
  /**
   * Gives a business key that nobody has to an instance that begins in `tx`; the instance that has it, undefined where one of this id is there, or has the key, already. Waits for
   * the transaction of another one that begins with the same key. Where another instance is known to have it nothing is locked, so that its end does not wait for `tx`.
   */
  claimKey(tx: Transaction, wanted: WantedLock): Promise<string | undefined>;
  /** Gives an instance of `tx` its place behind those that wait for a key; true when it has the key by now. Whoever has it cannot end before `tx` does. */
  queueForKey(tx: Transaction, wanted: WantedLock): Promise<boolean>;
  /** Takes back, in `tx`, what `claimKey` gave there to an instance that did not begin after all. */
  dropKey(tx: Transaction, key: WantedLock): Promise<void>;
}

/** What comes for instances from elsewhere. */
export interface SagaArrivalStore {
  /** Leaves something for instances, in `tx`; for those that have ended, or never were, nothing. Waits for nobody. */
  tell(tx: Transaction, tellings: readonly SagaTelling[]): Promise<void>;
  /**
   * A message has come that instances may wait for: it arrives at those that do, or waits for the first that will, in `tx`. Of several that wait, the
   * last one is kept.
   */
  signal(tx: Transaction, signal: SignalKey & { readonly value: unknown }): Promise<void>;
}

/**
 * Sagas of one service as rows. An instance is worked on by one process at a time: by its claim, which ends with the process (as `NodeStore` knows
 * it), and under a lock of its row, which holds from the first look of an attempt to its commit.
 */
export interface SagaStore extends SagaStartStore, SagaArrivalStore {
  /**
   * Takes instances that are due, or for which something has arrived, and that nobody alive works on, committed at once. Where the process that had it died, a death is counted: the
   * instance may be what it died of.
   */
  claim(terms: ClaimTerms): Promise<ClaimedSagas>;
  /** Gives claims back: others may take them at once, and no death is counted. */
  release(ids: readonly string[]): Promise<void>;
  /**
   * Locks an instance that this process has claimed, and sets a savepoint behind the lock, to go back to when the attempt fails; the savepoint's
   * release does nothing. Undefined when it has ended, was given to somebody else, or, unless `waits`, somebody has it locked.
   */
  lock(tx: Transaction, id: string, options: { readonly waits: boolean }): Promise<LockedSaga | undefined>;
  /** Writes a change with the COMMIT of `tx`, which has locked the instance. Of a long history the lines between the first and the last hundreds may go. */
  change(tx: Transaction, change: SagaChange): Promise<void>;
  readonly operations: SagaOperationStore;
}

/** An instance under the lock of its transaction. */
export interface LockedSaga {
  readonly saga: StoredSaga;
  readonly savepoint: Savepoint;
}

/** How an operator's change is decided, once the instance is locked; nothing is written when it throws. */
export type OperatorChange = (saga: StoredSaga) => SagaChange | Promise<SagaChange>;

/** Sagas as operators see them. */
export interface SagaOperationStore {
  find(id: string): Promise<SagaInstance | undefined>;
  /** State of an instance as JSON, with how it stands; undefined when there is none. */
  look(id: string): Promise<Pick<StoredSaga, 'saga' | 'version' | 'state' | 'progress'> | undefined>;
  list(filter: SagaFilter & Page): Promise<Paged<SagaInstance>>;
  /**
   * Waits a few seconds for the attempt in hand, changes the instance and writes down who did it, in one transaction; false when there is none.
   *
   * @throws HF_SAGA_IN_WORK
   */
  operate(id: string, action: OperatorAction & { readonly name: string }, change: OperatorChange): Promise<boolean>;
  /** Deletes an instance that has ended, with its history, and writes down who did it, in one transaction; how it stood, undefined when there is none. */
  purge(id: string, action: OperatorAction): Promise<SagaStatus | undefined>;
  /** Instances that have not ended, parked ones among them, of other definitions than these. Reads nothing of the instances of these. */
  openBesides(known: readonly SagaOutline[]): Promise<readonly OpenSagas[]>;
  /** Deletes what ended completed or compensated longer ago, with its history, and signals that nobody waited for, a bounded number; how many instances. */
  trim(keptMs: number, limit: number): Promise<number>;
}
