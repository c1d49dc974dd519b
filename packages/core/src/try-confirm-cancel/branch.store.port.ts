import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import type { Savepoint, Transaction } from '../unit-of-work/transaction.port.js';
import type { BranchChange, BranchProgress, BranchSight, BranchStatus } from './branch-decisions.js';
import type { BranchFilter, BranchInfo } from './branches.js';

/** A branch that begins. */
export interface NewBranch {
  /** A UUID of version 7. */
  readonly id: string;
  /** Name of its try. */
  readonly method: string;
  /** JSON. */
  readonly arguments: string;
  /** After it anybody decides against it. */
  readonly timeoutMs: number;
}

/** A branch as it was registered. */
export interface RegisteredBranch {
  readonly id: string;
  /** Which life of which server it was registered with. */
  readonly server: string;
}

/** A branch, locked by the transaction that read it. */
export interface StoredBranch extends BranchSight {
  readonly id: string;
  readonly method: string;
  readonly arguments: string;
  /** JSON; undefined when the try has not finished, or returned nothing. */
  readonly result: string | undefined;
  /** One more with every change that is written. */
  readonly revision: bigint;
}

/** A branch under the lock of its transaction. */
export interface LockedBranch {
  readonly branch: StoredBranch;
  readonly savepoint: Savepoint;
}

/** What a look for work found. */
export interface ClaimedBranches {
  /** The longest due first; from now on this process works on them. */
  readonly ids: readonly string[];
  /** Until the next one is due that is not yet; undefined: none. */
  readonly nextDueMs: number | undefined;
}

/** What a look for work goes by. */
export interface BranchTerms {
  /** Tries this process has. */
  readonly methods: readonly string[];
  /** Branches it works on already. */
  readonly inHand: readonly string[];
  /** At most. */
  readonly limit: number;
}

/**
 * Branches as rows. A branch is registered before its try begins and belongs to this process from then on; the row is locked by the transaction of its
 * try, and by those of its confirm and cancel, so that no two of them run at a time. What its unit decided is a guard row, written by that unit's COMMIT or
 * by whoever decides against it: the first one counts.
 */
export interface BranchStore {
  /** Writes a branch, committed when it resolves; gives the life of the server. */
  register(branch: NewBranch): Promise<string>;
  /** Locks a branch for its try, in `tx`, to the end of that; false when it was decided against, has ended, or was given to somebody else. */
  begin(tx: Transaction, id: string): Promise<boolean>;
  /** Writes with the COMMIT of `tx`, which has begun the try, that it has finished. */
  finish(tx: Transaction, id: string, result: string | undefined): Promise<void>;
  /**
   * Has the COMMIT of `tx` decide for a branch, at any isolation. The commit is refused with HF_TCC_DECIDED when somebody has decided against it, and with
   * HF_TCC_SERVER when `tx` is on another server, or in another life of it, than the branch was registered with.
   */
  commitWith(tx: Transaction, branch: RegisteredBranch): Promise<void>;
  readonly work: BranchWorkStore;
  readonly operations: BranchOperationStore;
}

/** What works on branches once their unit has ended, or should have. */
export interface BranchWorkStore {
  /**
   * Takes branches that are due and that nobody alive works on, and those whose time is up, committed at once. Those of a process that died are due as soon as
   * it is taken out (`NodeStore.reap`); where it had a confirm or cancel in hand, a death is counted.
   */
  claim(terms: BranchTerms): Promise<ClaimedBranches>;
  /** Gives claims back: others may take them at once. */
  release(ids: readonly string[]): Promise<void>;
  /** Says that the method of a try of this process was never called, and never will be. */
  unbegun(id: string): Promise<void>;
  /** Decides against a branch unless it is decided; false when its unit has written its decision and not ended: nobody knows yet. */
  decide(id: string): Promise<boolean>;
  /**
   * Locks a branch of this process, and sets a savepoint behind the lock, to go back to when the attempt fails; the savepoint's release does nothing.
   * Waits for whoever has it locked if told to; else 'busy'. 'gone': it has ended, or was given to somebody else.
   */
  lock(tx: Transaction, id: string, options: { readonly waits: boolean }): Promise<LockedBranch | 'busy' | 'gone'>;
  /** Writes a change with the COMMIT of `tx`, which has locked the branch; whoever looks first goes on with it. */
  change(tx: Transaction, id: string, change: BranchChange): Promise<void>;
}

/** Branches of one service as operators see them. */
export interface BranchOperationStore {
  find(id: string): Promise<BranchInfo | undefined>;
  list(filter: BranchFilter & Page): Promise<Paged<BranchInfo>>;
  /** Changes a parked branch and writes down who did it, in one transaction; how another one stands, undefined when there is none. */
  operate(
    id: string,
    action: OperatorAction & { readonly name: string },
    change: (progress: BranchProgress) => BranchChange,
  ): Promise<{ readonly method: string; readonly status: BranchStatus } | undefined>;
  /** Branches that have not ended, of other tries than these: how many of each. */
  openBesides(methods: readonly string[]): Promise<readonly { readonly method: string; readonly count: number }[]>;
  /** Deletes branches that ended longer ago, and decisions that nobody can ask for any more, a bounded number of each; how many branches. */
  trim(keptMs: number, limit: number): Promise<number>;
}
