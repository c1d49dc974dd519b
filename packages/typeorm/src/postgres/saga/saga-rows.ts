import type { SagaInstance, SagaNote, SagaProgress, StoredSaga } from '@holdfast/core';

/** What a saga's row keeps of its progress in one column; the rest has columns of its own. */
type Folded = Pick<SagaProgress, 'isSingle' | 'done' | 'failure' | 'parked'>;

/** The columns of an instance as an operator's question reads them. */
export interface SagaRow {
  readonly id: string;
  readonly number: string;
  readonly saga: string;
  readonly version: number;
  readonly status: SagaProgress['status'];
  readonly step: string | null;
  readonly attempts: number;
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
export function folded({ isSingle, done, failure, parked }: SagaProgress): string {
  return JSON.stringify({ isSingle, done, failure, parked } satisfies Folded);
}

/** Progress from the columns of a row. */
export function progressOf({ status, step, attempts, progress }: Pick<SagaRow, 'status' | 'step' | 'attempts' | 'progress'>): SagaProgress {
  const { isSingle, done, failure, parked } = JSON.parse(progress) as Folded;
  return { status, step: step ?? undefined, attempts, isSingle, done, failure, parked };
}

/** Lines of history as one value: statements that travel with COMMIT carry no arrays. */
export function notesText(notes: readonly SagaNote[]): string {
  return JSON.stringify(notes);
}

/** Columns that `lock` reads, in the order in which `storedOf` takes them. */
export const LOCKED_COLUMNS = 's.id, s.saga, s.version, s.state, s.status, s.step, s.attempts, s.progress, s.revision, s.outline, s.deaths';

/** A row of `LOCKED_COLUMNS` and `is_overdue`, as the server sends it. */
export function storedOf(row: readonly (string | null)[]): StoredSaga {
  const [id, saga, version, state, status, step, attempts, progress, revision, outline, deaths, isOverdue] = row as [
    string,
    ...(string | null)[],
  ];
  return {
    id,
    saga: saga as string,
    version: Number(version),
    state: state as string,
    progress: progressOf({
      status: status as SagaProgress['status'],
      step: step ?? null,
      attempts: Number(attempts),
      progress: progress as string,
    }),
    revision: BigInt(revision as string),
    outline: outline as string,
    deaths: Number(deaths),
    isOverdue: isOverdue === 't' || isOverdue === 'true',
  };
}

/** An instance as operators see it. */
export function instanceOf(row: SagaRow, history: readonly HistoryRow[]): SagaInstance {
  const { status, step, attempts, failure, parked } = progressOf(row);
  return {
    id: row.id,
    saga: row.saga,
    version: row.version,
    status,
    step,
    attempts,
    failure: parked?.failure ?? failure,
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
