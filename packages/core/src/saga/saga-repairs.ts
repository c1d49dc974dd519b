import { hfError } from '../errors/catalogue.js';
import type { OperatorAction } from '../operations/operators.js';
import type { SagaProgress } from './saga-progress.js';
import type { SagaOperationStore } from './saga.store.port.js';

/** What lets a parked saga go on, and how its history tells it. */
export const REPAIRED = { resume: 'resumed', retry: 'retried', skip: 'skipped' } as const;

/** A way to let a parked saga go on. */
export type SagaRepair = keyof typeof REPAIRED;

/** @throws HF_OPERATOR_REASON when nobody says who he is */
export function assertNamed(action: string, by: string): void {
  if (!by) throw hfError('HF_OPERATOR_REASON', { action, field: 'by' });
}

/** @throws HF_SAGA_NOT_PARKED */
export function assertParked(id: string, action: SagaRepair, { status }: SagaProgress): void {
  if (status !== 'parked') throw hfError('HF_SAGA_NOT_PARKED', { action, id, status });
}

/** @throws HF_SAGA_NOT_RUNNING when it is undone already, or has ended */
export function assertForward(id: string, { status, parked }: SagaProgress): void {
  if (status !== 'running' && parked?.while !== 'running') throw hfError('HF_SAGA_NOT_RUNNING', { id, status });
}

/** @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_ENDED */
export async function purgeSaga(store: SagaOperationStore, id: string, action: OperatorAction): Promise<void> {
  const status = await store.purge(id, action);
  if (status === undefined) throw hfError('HF_SAGA_UNKNOWN', { id });
  if (status !== 'completed' && status !== 'compensated') throw hfError('HF_SAGA_NOT_ENDED', { id, status });
}
