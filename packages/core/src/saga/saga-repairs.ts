import { hfError } from '../errors/catalogue.js';
import type { HoldfastError } from '../errors/holdfast-error.js';
import type { OperatorAction } from '../operations/operators.js';
import { parkingOf, type SagaParking, type SagaProgress, stepsAt } from './saga-progress.js';
import type { SagaOperationStore } from './saga.store.port.js';

/** What lets a parked saga go on, and how its history tells it. */
export const REPAIRED = { resume: 'resumed', retry: 'retried', skip: 'skipped' } as const;

/** A way to let a parked saga go on. */
export type SagaRepair = keyof typeof REPAIRED;

/** What a line of the history tells of who wanted it. */
export function saidBy({ by, reason }: OperatorAction): string {
  return reason === undefined ? by : `${by}: ${reason}`;
}

/** @throws HF_OPERATOR_REASON when nobody says who he is */
export function assertNamed(action: string, by: string): void {
  if (!by) throw hfError('HF_OPERATOR_REASON', { action, field: 'by' });
}

/** @throws HF_SAGA_NOT_PARKED */
export function assertParked(id: string, action: SagaRepair, progress: SagaProgress): void {
  const { status } = progress;
  if (status !== 'parked') throw hfError('HF_SAGA_NOT_PARKED', { action, id, status, step: stepsAt(progress) });
}

/** `sinceMs` undefined: however often it has parked there. @throws HF_SAGA_STANDS_ELSEWHERE */
export function assertAbout(id: string, { step, sinceMs }: SagaParking, progress: SagaProgress): void {
  const found = parkingOf(progress);
  if (found.step === step && (sinceMs === undefined || found.sinceMs === sinceMs)) return;
  throw hfError('HF_SAGA_STANDS_ELSEWHERE', { id, step: step ?? 'no step', found: found.step ?? 'no step' });
}

/** @throws HF_SAGA_NOT_RUNNING when it is undone already, or has ended */
export function assertForward(id: string, progress: SagaProgress): void {
  if (!isForward(progress)) throw hfError('HF_SAGA_NOT_RUNNING', { id, status: progress.status, step: stepsAt(progress) });
}

/** Why a saga turns back that somebody cancels. The step is the one that its history has the turn at. */
export function cancelledError(
  id: string,
  { by, reason, step = 'none' }: { by: string; reason: string; step: string | undefined },
): HoldfastError {
  return hfError('HF_SAGA_CANCELLED', { id, by, reason, step });
}

/** Whether a saga goes forward, or would if it were not parked. */
export function isForward({ status, parked }: SagaProgress): boolean {
  return status === 'running' || parked?.while === 'running';
}

/** @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_ENDED */
export async function purgeSaga(store: SagaOperationStore, id: string, action: OperatorAction): Promise<void> {
  const status = await store.purge(id, action);
  if (status === undefined) throw hfError('HF_SAGA_UNKNOWN', { id });
  if (status !== 'completed' && status !== 'compensated') throw hfError('HF_SAGA_NOT_ENDED', { id, status });
}
