import { hfError } from '../errors/catalogue.js';
import type { OperatorAction, Page, Paged } from '../operations/operators.js';
import type { SagaArrival } from './saga-event.js';
import { nextMs, parkingOf } from './saga-progress.js';
import { assertForward, assertNamed, assertParked, purgeSaga, REPAIRED, type SagaRepair } from './saga-repairs.js';
import type { SagaChange, SagaOperationStore, StoredSaga } from './saga.store.port.js';
import type { SagaFilter, SagaInstance } from './sagas.js';

/**
 * Sagas of a service for a tool that has none of their definitions. What a repair leads to is decided by the definition, so it is left for a process
 * that has it, which finds it when it looks next, within a second or so; the history tells when that was.
 */
export class SagaOperator {
  constructor(private readonly store: SagaOperationStore) {}

  /** One page of sagas, the last started first. */
  list(filter: SagaFilter & Page = {}): Promise<Paged<SagaInstance>> {
    return this.store.list(filter);
  }

  /** One saga with its history; undefined when there is none. */
  get(id: string): Promise<SagaInstance | undefined> {
    return this.store.find(id);
  }

  /**
   * Leaves word that a parked saga is to go on, or that one on its way forward is to be undone, and writes down who wants it. A saga that is past its pivot by
   * then, or no longer parked as it was, is left as it is; of several words about the same the last counts.
   *
   * @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_PARKED, HF_SAGA_NOT_RUNNING, HF_SAGA_IN_WORK
   */
  async ask(what: SagaRepair | 'cancel', id: string, action: OperatorAction): Promise<void> {
    const { by, reason } = action;
    assertNamed(what, by);
    const isThere = await this.store.operate(id, { ...action, name: what }, (saga) => {
      const { progress } = saga;
      if (what === 'cancel') {
        assertForward(id, progress);
        return told(saga, { kind: 'cancelled', by, reason: reason ?? 'no reason given' });
      }
      assertParked(id, what, progress);
      return told(saga, { kind: REPAIRED[what], by, reason, about: parkingOf(progress) });
    });
    if (!isThere) throw hfError('HF_SAGA_UNKNOWN', { id });
  }

  /** Deletes a saga that is completed or compensated, with its history. @throws HF_SAGA_UNKNOWN, HF_SAGA_NOT_ENDED */
  async purge(id: string, action: OperatorAction): Promise<void> {
    assertNamed('purge', action.by);
    await purgeSaga(this.store, id, action);
  }
}

/** The saga as it was, with something that has come for it. */
function told({ id, progress, nowMs }: StoredSaga, event: SagaArrival): SagaChange {
  const next = nextMs(progress);
  return {
    id,
    progress,
    state: undefined,
    notes: [],
    afterMs: next === undefined ? undefined : Math.max(0, next - nowMs),
    isTaken: false,
    reach: { seen: [], awaits: [], awaitsNoMore: [], tells: [{ id, event }] },
  };
}
