import { isHoldfastError } from '../errors/holdfast-error.js';
import { growingWaitsMs } from '../time/growing-waits.js';

/** The end of a claim whose call has succeeded. */
export interface SuccessfulEnd {
  /** How long the claim lives between renewals. */
  readonly leaseMs: number;
  /** Stores it. */
  readonly store: () => Promise<void>;
  /** Keeps the claim for another term. */
  readonly renew: () => Promise<void>;
  /** Whether the memory has it as done. */
  readonly isDone: () => Promise<boolean>;
  /** Waits for the next try after one that failed; false when it is given up. */
  readonly wait: (error: unknown, ms: number) => Promise<boolean>;
}

/** Waits at most this fraction of the lease between two tries, so that the claim is still ours at the next one. */
const TRIES_PER_LEASE = 3;

/**
 * Stays with the end of a call that succeeded until it is stored: what it did is there for good, and must not be done again because the database was away.
 *
 * @throws HF_LEASE_LOST when somebody else has the claim, and what `wait` throws
 */
export async function storeSuccess({ leaseMs, store, renew, isDone, wait }: SuccessfulEnd): Promise<void> {
  let hasFailed = false;
  for (const waitMs of growingWaitsMs()) {
    try {
      return await store();
    } catch (error) {
      if (isHoldfastError(error, 'HF_LEASE_LOST')) {
        // Of an earlier try only the answer may have been lost.
        const isStored = hasFailed && (await isDone().catch(() => undefined));
        if (isStored === true) return;
        if (isStored === false) throw error;
      }
      if (!(await wait(error, Math.min(waitMs, leaseMs / TRIES_PER_LEASE)))) return;
    }
    hasFailed = true;
    await renew().catch(() => undefined);
  }
}
