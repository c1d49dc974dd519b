import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import type { BranchFailure, BranchOperation, BranchStatus } from './branch-decisions.js';

/** One call of a try, as operators see it. */
export interface BranchInfo {
  readonly id: string;
  /** Name of the try: `Class.method`, unless it was given another one. */
  readonly method: string;
  readonly status: BranchStatus;
  /** What ends it; undefined while its unit is open. */
  readonly operation: BranchOperation | undefined;
  /** Attempts made at `operation`. */
  readonly attempts: number;
  /** Of the last attempt. */
  readonly failure: BranchFailure | undefined;
  /** What the try was called with. */
  readonly arguments: readonly unknown[];
  /** What the try returned; undefined when it did not finish. */
  readonly result: unknown;
  /** The try has finished, and what it wrote is committed. */
  readonly isTried: boolean;
  readonly registeredAt: Date;
  readonly updatedAt: Date;
}

/** Which branches: every given field must match. */
export interface BranchFilter {
  /** Name of the try. */
  method?: string;
  status?: BranchStatus;
  /** Registered at or after. */
  since?: Date;
}

/**
 * Lists and repairs the branches of try-confirm-cancel; inject it by this class. `retry` and `skip` are transactions of their own, and refused inside a
 * unit (HF_TCC_REPAIR_IN_TRANSACTION). Branches that have ended are kept as long as the log (`retention`).
 */
export abstract class Branches {
  /** One page of the branches of this service, the newest first. */
  abstract list(filter?: BranchFilter & Page): Promise<Paged<BranchInfo>>;
  /** One branch; undefined when there is none. */
  abstract get(id: string): Promise<BranchInfo | undefined>;
  /** Tries the confirm or cancel of a parked branch again, with fresh attempts. @throws HF_TCC_UNKNOWN, HF_TCC_NOT_PARKED */
  abstract retry(id: string, action: OperatorAction): Promise<void>;
  /** Takes the confirm or cancel of a parked branch as done by hand. @throws HF_TCC_UNKNOWN, HF_TCC_NOT_PARKED */
  abstract skip(id: string, action: OperatorAction): Promise<void>;
}
