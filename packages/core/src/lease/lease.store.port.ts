/** A part of a whole (a lane of the log, a partition of a subscription) that belongs to this process for a time. */
export interface PartLease {
  readonly part: number;
  /** Random value of the process that took it; it proves the lease in every write. */
  readonly ownerToken: string;
  /** How long it lasts yet, on the store's clock. */
  readonly leftMs: number;
}

/** What one round of a process asks for. */
export interface LeaseRequest {
  readonly nodeId: string;
  /** Tokens of the leases it knows it has. */
  readonly ownerTokens: readonly string[];
  /** Token of those it takes in this round: one that was never used. */
  readonly newToken: string;
  readonly ttlMs: number;
  /** False: it cannot use what it has just now, and wants none while there are others. */
  readonly isAble: boolean;
}

/** What a process has after a round. */
export interface LeaseRound {
  readonly held: readonly PartLease[];
  /** How many parts it may keep: all of them, shared evenly among the processes that make rounds. */
  readonly share: number;
}

/** Who owns which part of a whole: rows with an end on the store's clock, so that no leader is needed and nobody waits for a dead process for longer. */
export interface LeaseStore {
  /** Makes the parts 0 to `parts` - 1 of a scope that has none yet; how many it has. */
  declare(scope: string, parts: number): Promise<number>;
  /** Says that this process wants its share, keeps what is its own, and takes what is free or has ended, up to that share: one statement. */
  round(scope: string, request: LeaseRequest): Promise<LeaseRound>;
  /** Gives parts back at once, as far as they are still its own. */
  release(scope: string, leases: readonly Pick<PartLease, 'part' | 'ownerToken'>[]): Promise<void>;
  /** The same for everything, and its share is the others' from now on. */
  leave(scope: string, request: Pick<LeaseRequest, 'nodeId' | 'ownerTokens'>): Promise<void>;
}
