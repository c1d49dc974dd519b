import {
  hfError,
  type SagaFailure,
  type SagaInstance,
  type SagaNote,
  type SagaProgress,
  type SagaTelling,
  type StoredSaga,
  sagaStandingOf,
  stoppedStep,
  waitText,
} from '@holdfast/core';
import type { TextRow } from '../sql/transaction-sql.js';
import { isProgress } from './progress-shape.js';

/** What a saga's row keeps of its progress in one column; the status has a column of its own. */
type Folded = Omit<SagaProgress, 'status'>;

/** The columns of an instance as an operator's question reads them. */
export interface SagaRow {
  readonly id: string;
  readonly number: string;
  readonly saga: string;
  readonly version: number;
  readonly status: SagaProgress['status'];
  readonly progress: string;
  readonly state: string;
  readonly started_at: Date;
  readonly updated_at: Date;
}

/** A line of history as it is read. */
export interface HistoryRow {
  readonly step: string | null;
  readonly event: SagaNote['event'];
  readonly detail: string | null;
  readonly at: Date;
}

/** The column `progress`. */
export function folded({ at, done, leftOut, branches, kept, lock, failure, parked, unread }: SagaProgress): string {
  return JSON.stringify({ at, done, leftOut, branches, kept, lock, failure, parked, unread } satisfies Folded);
}

/** Progress from the columns of a row; nowhere, with what was found, where somebody has damaged it. */
export function progressOf({ status, progress }: Pick<SagaRow, 'status' | 'progress'>): SagaProgress {
  const read = readable(progress);
  if (read === undefined)
    return { status, at: [], done: [], leftOut: [], lock: undefined, failure: undefined, parked: undefined, unread: progress };
  const { at, done, leftOut, branches, kept, lock, failure, parked, unread } = read;
  return { status, at, done, leftOut, branches, kept, lock, failure, parked, unread };
}

function readable(progress: string): Folded | undefined {
  try {
    const read: unknown = JSON.parse(progress);
    return isProgress(read) ? (read as Folded) : undefined;
  } catch {
    return undefined;
  }
}

/** Lines of history, and the like, as one value: statements that travel with COMMIT carry no arrays. */
export function listText(list: readonly unknown[]): string {
  return JSON.stringify(list);
}

/** What instances are told, each event as a text of its own: PostgreSQL reads the escapes of what it takes apart, and refuses some (NUL, half of a surrogate pair). */
export function tellingsText(tellings: readonly SagaTelling[]): string {
  return listText(tellings.map(({ id, event }) => ({ id, event: JSON.stringify(event) })));
}

/** Columns that `lock` reads, in the order in which `storedOf` takes them. */
export const LOCKED_COLUMNS = 's.id, s.number, s.saga, s.version, s.state, s.status, s.progress, s.revision, s.outline, s.deaths, s.parent';

/** A row of `LOCKED_COLUMNS`, `is_overdue` and the time in milliseconds, and what has arrived by number, as the server sends them. */
export function storedOf(row: TextRow, arrived: readonly TextRow[]): StoredSaga {
  const [id, number, saga, version, state, status, progress, revision, outline, deaths, parent, isOverdue, nowMs] = row as [
    string,
    ...(string | null)[],
  ];
  return {
    id,
    number: number as string,
    saga: saga as string,
    version: Number(version),
    state: state as string,
    progress: progressOf({ status: status as SagaProgress['status'], progress: progress as string }),
    revision: BigInt(revision as string),
    outline: outline as string,
    deaths: Number(deaths),
    parent: parent ?? undefined,
    isOverdue: isOverdue === 't' || isOverdue === 'true',
    nowMs: Number(nowMs),
    arrived: (arrived as readonly [string, string][]).map(([number, event]) => ({ number, event: JSON.parse(event) })),
  };
}

/** An instance as operators see it. */
export function instanceOf(row: SagaRow, history: readonly HistoryRow[]): SagaInstance {
  const progress = progressOf(row);
  const { at, lock, failure, parked, unread } = progress;
  const first = stoppedStep(progress);
  return {
    id: row.id,
    saga: row.saga,
    version: row.version,
    status: sagaStandingOf(progress),
    step: first?.step,
    attempts: first?.attempts ?? 0,
    waitsFor:
      lock?.isHeld === false
        ? [`the lock ${lock.key}`]
        : at.flatMap(({ step, callMs, waits = [] }) => (callMs === undefined ? waits.map((wait) => `${step}: ${waitText(wait)}`) : [])),
    failure: parked?.failure ?? failure ?? (unread === undefined ? undefined : unreadFailure(row)),
    startedAt: row.started_at,
    updatedAt: row.updated_at,
    history: history.map((entry) => ({
      step: entry.step ?? undefined,
      event: entry.event,
      detail: entry.detail ?? undefined,
      at: entry.at,
    })),
  };
}

/** Of one that nobody has worked on since it was damaged: so it is not parked yet. */
function unreadFailure({ id, saga, version }: SagaRow): SagaFailure {
  const { code, message } = hfError('HF_SAGA_PROGRESS', { saga, id, version });
  return { step: '', code, message };
}
