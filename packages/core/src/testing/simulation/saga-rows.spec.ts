import type { SagaNote } from '../../saga/saga-event.js';
import type { SagaProgress } from '../../saga/saga-progress.js';
import type { SagaOutline } from '../../saga/saga.store.port.js';

/** An instance as a row. */
export interface SagaRow extends SagaOutline {
  readonly number: number;
  readonly id: string;
  readonly progress: string;
  readonly state: string;
  readonly revision: number;
  readonly deaths: number;
  readonly isDeaf: boolean;
  readonly worker: string | undefined;
  readonly parent: string | undefined;
  readonly dueMs: number | undefined;
  readonly deadlineMs: number | undefined;
  readonly endedMs: number | undefined;
  readonly startedMs: number;
  readonly updatedMs: number;
}

export interface HistoryRow extends SagaNote {
  readonly saga: string;
  readonly atMs: number;
}

export function statusOf({ progress }: SagaRow): SagaProgress['status'] {
  return (JSON.parse(progress) as SagaProgress).status;
}
