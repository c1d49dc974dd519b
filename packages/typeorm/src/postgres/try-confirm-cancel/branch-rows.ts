import type { BranchInfo, BranchOperation, BranchProgress, BranchStatus, BranchVerdict, StoredBranch } from '@holdfast/core';
import type { TextRow } from '../sql/transaction-sql.js';

/** What the decisions of the units that called tries are filed under in the guard table. */
export const SCOPE = 'try-confirm-cancel';
/** The operation of such a row. */
export const DECISION = 'commit';

/** The columns of a branch as an operator's question reads them. */
export interface BranchRow {
  readonly id: string;
  readonly method: string;
  readonly status: BranchStatus;
  readonly operation: BranchOperation | null;
  readonly attempts: number;
  readonly failure: string | null;
  readonly arguments: string;
  readonly result: string | null;
  readonly is_tried: boolean;
  readonly registered_at: Date;
  readonly updated_at: Date;
}

/** Columns of `BranchRow`. */
export const COLUMNS =
  'b.id, b.method, b.status, b.operation, b.attempts, b.failure, b.arguments, b.result, b.is_tried, b.registered_at, b.updated_at';

/** How far a branch is, from its columns. */
export function progressOf({
  status,
  operation,
  attempts,
  failure,
}: Pick<BranchRow, 'status' | 'operation' | 'attempts' | 'failure'>): BranchProgress {
  return {
    status,
    operation: operation ?? undefined,
    attempts,
    failure: failure === null ? undefined : (JSON.parse(failure) as BranchProgress['failure']),
  };
}

/** A branch as operators see it. */
export function infoOf(row: BranchRow): BranchInfo {
  return {
    ...progressOf(row),
    id: row.id,
    method: row.method,
    arguments: JSON.parse(row.arguments) as readonly unknown[],
    result: row.result === null ? undefined : JSON.parse(row.result),
    isTried: row.is_tried,
    registeredAt: row.registered_at,
    updatedAt: row.updated_at,
  };
}

/** Columns that `lock` reads, in the order in which `storedOf` takes them; the decision comes after them. */
export const LOCKED_COLUMNS =
  'b.id, b.method, b.arguments, b.result, b.is_tried, b.is_unbegun, b.status, b.operation, b.attempts, b.failure, b.deaths, b.revision';

/** A row of `LOCKED_COLUMNS` and its decision, as the server sends it. */
export function storedOf(row: TextRow): StoredBranch {
  const [id, method, args, result, isTried, isUnbegun, status, operation, attempts, failure, deaths, revision, verdict] = row as [
    ...(string | null)[],
  ];
  return {
    id: id as string,
    method: method as string,
    arguments: args as string,
    result: result ?? undefined,
    isTried: isTrue(isTried),
    isUnbegun: isTrue(isUnbegun),
    progress: progressOf({
      status: status as BranchStatus,
      operation: operation as BranchOperation | null,
      attempts: Number(attempts),
      failure: failure ?? null,
    }),
    deaths: Number(deaths),
    revision: BigInt(revision as string),
    verdict: (verdict ?? undefined) as BranchVerdict | undefined,
  };
}

function isTrue(text: string | null | undefined): boolean {
  return text === 't' || text === 'true';
}
