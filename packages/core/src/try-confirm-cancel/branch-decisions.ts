import { decideRetry, type RetryPolicy } from '../delivery/retry-policy.js';
import { describeFailure } from '../errors/describe-failure.js';
import type { Random } from '../time/random.js';

/** What a branch is ended by. */
export type BranchOperation = 'confirm' | 'cancel';

/** What became of the unit of work that called a try, as far as its branch is concerned. */
export type BranchVerdict = 'committed' | 'rolled-back';

/** How a branch stands: its unit is open, it is being ended, it has ended, or a person has to look at it. */
export type BranchStatus = 'trying' | 'confirming' | 'cancelling' | 'confirmed' | 'cancelled' | 'parked';

/** Why a confirm or a cancel failed. */
export interface BranchFailure {
  /** Code of the error (`HF_…`, `ECONNREFUSED`), or its type where it has none. */
  readonly code: string;
  readonly message: string;
}

/** How far a branch is. */
export interface BranchProgress {
  readonly status: BranchStatus;
  /** What ends it; undefined while its unit is open. */
  readonly operation: BranchOperation | undefined;
  /** Attempts made at `operation`. */
  readonly attempts: number;
  /** That of the last attempt. */
  readonly failure: BranchFailure | undefined;
}

/** What is known of a branch when it is looked at. */
export interface BranchSight {
  readonly progress: BranchProgress;
  /** Undefined as long as nobody has decided. */
  readonly verdict: BranchVerdict | undefined;
  /** The try has finished, and what it wrote is committed. */
  readonly isTried: boolean;
  /** Somebody knows that the method of the try was never called. */
  readonly isUnbegun: boolean;
  /** Processes in a row that died with its confirm or cancel in hand. */
  readonly deaths: number;
}

/** What to do with a branch next. */
export type BranchStep =
  | { readonly do: 'decide' }
  | { readonly do: 'call'; readonly operation: BranchOperation }
  /** There is nothing to cancel. */
  | { readonly do: 'skip' }
  | { readonly do: 'give-up'; readonly operation: BranchOperation; readonly why: 'deaths' | 'untried' };

/** What has happened to a branch. */
export type BranchEvent =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** It is not tried again by itself. */
  | { readonly kind: 'given-up'; readonly error: unknown };

/** Where a branch stands then. */
export interface BranchChange {
  readonly progress: BranchProgress;
  /** When it is to be worked on next; undefined: not by itself. */
  readonly afterMs: number | undefined;
}

/** Deaths of processes that no branch is given up for: each may have had another reason. */
const FEW_DEATHS = 3;

/**
 * Decides what a branch needs. Pure.
 *
 * @param terms `attempts` of the operation by its policy; `cancelsHalfDone`: its cancel looks at the branch, so it can tell a try that was not seen to finish
 */
export function nextOf(
  { progress, verdict, isTried, isUnbegun, deaths }: BranchSight,
  terms: { readonly attempts: (operation: BranchOperation) => number; readonly cancelsHalfDone: boolean },
): BranchStep {
  const operation = progress.operation ?? operationOf(verdict);
  if (operation === undefined) return { do: 'decide' };
  // Its unit wrote its decision after the try had committed: what is missing now was taken from the database by somebody.
  if (operation === 'confirm' && !isTried) return { do: 'give-up', operation, why: 'untried' };
  if (operation === 'cancel' && !isTried && (isUnbegun || !terms.cancelsHalfDone)) return { do: 'skip' };
  if (deaths >= Math.max(terms.attempts(operation), FEW_DEATHS)) return { do: 'give-up', operation, why: 'deaths' };
  return { do: 'call', operation };
}

/** What an event means for a branch whose operation is known. Pure: the same event, policy and random numbers give the same answer. */
export function afterEvent(
  { attempts, failure }: BranchProgress,
  { operation, event, policy }: { readonly operation: BranchOperation; readonly event: BranchEvent; readonly policy: RetryPolicy },
  random: Random,
): BranchChange {
  if (event.kind === 'done') return { progress: { status: endedBy(operation), operation, attempts, failure }, afterMs: undefined };
  const { code, message } = describeFailure(event.error);
  const made = event.kind === 'failed' ? attempts + 1 : attempts;
  const progress = { operation, attempts: made, failure: { code, message } };
  const decision = event.kind === 'failed' ? decideRetry(policy, { error: event.error, attempt: made }, random) : undefined;
  if (decision?.kind !== 'retry') return { progress: { ...progress, status: 'parked' }, afterMs: undefined };
  return { progress: { ...progress, status: endingBy(operation) }, afterMs: decision.delayMs };
}

/** How a branch stands while it is being ended so. */
export function endingBy(operation: BranchOperation): 'confirming' | 'cancelling' {
  return operation === 'confirm' ? 'confirming' : 'cancelling';
}

/** How a branch stands when it has been ended so. */
export function endedBy(operation: BranchOperation): 'confirmed' | 'cancelled' {
  return operation === 'confirm' ? 'confirmed' : 'cancelled';
}

function operationOf(verdict: BranchVerdict | undefined): BranchOperation | undefined {
  if (verdict === undefined) return undefined;
  return verdict === 'committed' ? 'confirm' : 'cancel';
}
