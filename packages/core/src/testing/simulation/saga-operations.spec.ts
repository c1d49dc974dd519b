import { hfError } from '../../errors/catalogue.js';
import { type SagaProgress, standingOf, stoppedStep, waitText } from '../../saga/saga-progress.js';
import type { SagaInstance } from '../../saga/sagas.js';
import type { OpenSagas, OperatorChange, SagaOperationStore, SagaOutline } from '../../saga/saga.store.port.js';
import type { Client, SimulatedDatabase } from './database.spec.js';
import { type HistoryRow, type SagaRow, statusOf } from './saga-rows.spec.js';
import type { SimulatedSagaStore } from './saga-store.spec.js';

/** Longest wait of an operator for the end of an attempt. */
const OPERATOR_WAIT_MS = 3000;

/** The same sagas as operators see them. */
export class SimulatedSagaOperations implements SagaOperationStore {
  constructor(
    private readonly db: SimulatedDatabase,
    private readonly client: Client,
    private readonly store: SimulatedSagaStore,
  ) {}

  find(id: string): Promise<SagaInstance | undefined> {
    const { saga, history } = this.store.names;
    return this.db.alone(this.client, (sql) => {
      const row = sql.get<SagaRow>(saga, id);
      const lines = sql.all<HistoryRow>(history).flatMap(([, line]) => (line.saga === id ? [line] : []));
      return row && instanceOf(row, lines);
    });
  }

  look(id: string): ReturnType<SagaOperationStore['look']> {
    return this.db.alone(this.client, (sql) => {
      const row = sql.get<SagaRow>(this.store.names.saga, id);
      return row && { saga: row.saga, version: row.version, state: row.state, progress: JSON.parse(row.progress) as SagaProgress };
    });
  }

  list({ saga, status, since, limit = 100, cursor }: Parameters<SagaOperationStore['list']>[0]): ReturnType<SagaOperationStore['list']> {
    return this.db.alone(this.client, (sql) => {
      if (limit < 1) throw hfError('HF_OPERATOR_PAGE', { what: 'limit', value: limit });
      const rows = sql.all<SagaRow>(this.store.names.saga).map(([, row]) => row);
      const wanted = rows
        .filter((row) => saga === undefined || row.saga === saga)
        .filter((row) => status === undefined || standingOf(JSON.parse(row.progress) as SagaProgress) === status)
        .filter((row) => since === undefined || row.startedMs >= since.getTime())
        .filter((row) => cursor === undefined || row.number < Number(cursor))
        .sort((a, b) => b.number - a.number);
      const page = wanted.slice(0, limit);
      return { items: page.map((row) => instanceOf(row, [])), next: wanted.length > limit ? String(page.at(-1)?.number) : undefined };
    });
  }

  async operate(id: string, { name, by, reason }: Parameters<SagaOperationStore['operate']>[1], change: OperatorChange): Promise<boolean> {
    const { saga, audit } = this.store.names;
    try {
      return await this.db.alone(this.client, async (sql) => {
        await sql.lock(saga, id, { waitMs: OPERATOR_WAIT_MS });
        const row = sql.get<SagaRow>(saga, id);
        if (row === undefined) return false;
        await this.store.changing(sql, await change({ ...this.store.stored(row, []), isOverdue: false }));
        sql.add(audit, { action: `saga ${name}`, target: id, by, reason });
        return true;
      });
    } catch (error) {
      if ((error as { code?: unknown }).code !== '55P03') throw error;
      throw hfError('HF_SAGA_IN_WORK', { id, waitMs: OPERATOR_WAIT_MS }, { cause: error });
    }
  }

  purge(id: string, { by, reason }: Parameters<SagaOperationStore['purge']>[1]): ReturnType<SagaOperationStore['purge']> {
    const { saga, audit } = this.store.names;
    return this.db.alone(this.client, async (sql) => {
      await sql.lock(saga, id);
      const row = sql.get<SagaRow>(saga, id);
      if (row?.endedMs === undefined) return row && statusOf(row);
      sql.put(saga, id, undefined);
      sql.add(audit, { action: 'saga purge', target: id, by, reason });
      return statusOf(row);
    });
  }

  openBesides(known: readonly SagaOutline[]): Promise<readonly OpenSagas[]> {
    return this.db.alone(this.client, (sql) => {
      const found = new Map<string, OpenSagas>();
      for (const [, { saga, version, outline, endedMs }] of sql.all<SagaRow>(this.store.names.saga)) {
        const isKnown = known.some((one) => one.saga === saga && one.version === version && one.outline === outline);
        if (endedMs !== undefined || isKnown) continue;
        const place = JSON.stringify([saga, version, outline]);
        found.set(place, { saga, version, outline, count: (found.get(place)?.count ?? 0) + 1 });
      }
      return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, open]) => open);
    });
  }

  /** Nothing here lives long enough. */
  async trim(): Promise<number> {
    return 0;
  }
}

function instanceOf(row: SagaRow, history: readonly HistoryRow[]): SagaInstance {
  const progress = JSON.parse(row.progress) as SagaProgress;
  const { at, failure, parked } = progress;
  const first = stoppedStep(progress);
  return {
    id: row.id,
    saga: row.saga,
    version: row.version,
    status: standingOf(progress),
    step: first?.step,
    attempts: first?.attempts ?? 0,
    waitsFor: at.flatMap(({ step, callMs, waits = [] }) => (callMs === undefined ? waits.map((wait) => `${step}: ${waitText(wait)}`) : [])),
    failure: parked?.failure ?? failure,
    startedAt: new Date(row.startedMs),
    updatedAt: new Date(row.updatedMs),
    history: history.map(({ step, event, detail, atMs }) => ({ step, event, detail, at: new Date(atMs) })),
  };
}
