import { hfError } from '../../errors/catalogue.js';
import type { SagaArrival, SagaNote } from '../../saga/saga-event.js';
import { type SagaProgress, waitText } from '../../saga/saga-progress.js';
import type { SagaInstance } from '../../saga/sagas.js';
import type {
  ArrivedEvent,
  ClaimedSagas,
  ClaimTerms,
  LockedSaga,
  NewSaga,
  OpenSagas,
  OperatorChange,
  SagaChange,
  SagaOperationStore,
  SagaOutline,
  SagaStore,
  SagaTelling,
  SignalKey,
  StoredSaga,
} from '../../saga/saga.store.port.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import type { Client, SimulatedDatabase, SimulatedTransaction } from './database.spec.js';

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

interface EventRow {
  readonly saga: string;
  /** JSON */
  readonly event: string;
}

interface SignalRow {
  readonly value: { readonly json: string } | undefined;
  readonly waiting: readonly string[];
}

/** Longest wait of an operator for the end of an attempt. */
const OPERATOR_WAIT_MS = 3000;

const least = (...moments: readonly (number | undefined)[]) => {
  const given = moments.filter((one) => one !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
};
const statusOf = ({ progress }: SagaRow) => (JSON.parse(progress) as SagaProgress).status;

/** Sagas of one service as rows of a database in memory: what each method means is what the statements for PostgreSQL mean. */
export class SimulatedSagaStore implements SagaStore {
  readonly names;
  readonly operations: SagaOperationStore;

  constructor(
    private readonly db: SimulatedDatabase,
    private readonly client: Client,
    service: string,
  ) {
    const nameOf = (table: string) => `${service}.${table}`;
    this.names = {
      saga: nameOf('saga'),
      history: nameOf('history'),
      event: nameOf('event'),
      signal: nameOf('signal'),
      audit: nameOf('audit'),
    };
    this.operations = new SimulatedSagaOperations(db, client, this);
  }

  start(tx: Transaction, begun: NewSaga): Promise<{ readonly isStarted: boolean; readonly saga: string | undefined }> {
    const sql = sqlOf(tx);
    return sql.statement(async () => {
      const { id, saga, version, outline, progress, state, notes, timeoutMs, parent, isTaken } = begun;
      await sql.lock(this.names.saga, id);
      const found = sql.get<SagaRow>(this.names.saga, id);
      if (found !== undefined) return { isStarted: false, saga: found.saga };
      const { nowMs } = this.db;
      const row: SagaRow = {
        ...{ id, saga, version, outline, state, parent },
        number: this.db.next(),
        progress: JSON.stringify(progress),
        revision: 0,
        deaths: 0,
        isDeaf: false,
        worker: isTaken ? this.client.name : undefined,
        dueMs: progress.status === 'running' ? nowMs : undefined,
        deadlineMs: timeoutMs === undefined ? undefined : nowMs + timeoutMs,
        endedMs: hasEnded(progress) ? nowMs : undefined,
        startedMs: nowMs,
        updatedMs: nowMs,
      };
      sql.put(this.names.saga, id, row);
      this.note(sql, id, notes);
      return { isStarted: true, saga };
    });
  }

  claim({ versions, inHand, limit }: ClaimTerms): Promise<ClaimedSagas> {
    return this.db.alone(this.client, async (sql) => {
      const { nowMs } = this.db;
      const nodes = this.db.table('node');
      const me = this.client.name;
      const isOurs = ({ id, saga, version, worker }: SagaRow) =>
        versions.some((one) => one.saga === saga && one.version === version) &&
        !inHand.includes(id) &&
        (worker === undefined || worker === me || !nodes.has(worker));
      const rows = sql.all<SagaRow>(this.names.saga).map(([, row]) => row);
      const told = new Set(sql.all<EventRow>(this.names.event).map(([, { saga }]) => saga));
      const isDue = ({ dueMs }: SagaRow) => dueMs !== undefined && dueMs <= nowMs;
      const due = rows.filter((row) => isDue(row) && isOurs(row)).sort((a, b) => (a.dueMs as number) - (b.dueMs as number));
      const reached = rows.filter((row) => told.has(row.id) && !isDue(row) && row.endedMs === undefined && !row.isDeaf && isOurs(row));
      const ids: string[] = [];
      for (const row of [...due, ...reached]) {
        if (ids.length === limit) break;
        if (!(await sql.lock(this.names.saga, row.id, { waits: false }))) continue;
        const deaths = row.deaths + (row.worker !== undefined && row.worker !== me ? 1 : 0);
        sql.put(this.names.saga, row.id, { ...row, worker: me, deaths, dueMs: least(row.dueMs, nowMs) });
        ids.push(row.id);
      }
      const next = least(...rows.filter((row) => !isDue(row)).map(({ dueMs }) => dueMs));
      return { ids, nextDueMs: next === undefined ? undefined : next - nowMs };
    });
  }

  release(ids: readonly string[]): Promise<void> {
    return this.db.alone(this.client, async (sql) => {
      for (const id of ids) {
        await sql.lock(this.names.saga, id);
        const row = sql.get<SagaRow>(this.names.saga, id);
        if (row?.worker === this.client.name) sql.put(this.names.saga, id, { ...row, worker: undefined });
      }
    });
  }

  async lock(tx: Transaction, id: string, { waits }: { readonly waits: boolean }): Promise<LockedSaga | undefined> {
    const sql = sqlOf(tx);
    const saga = await sql.statement(async () => {
      // What has arrived is of the moment at which the statement began, the row of that at which it was locked.
      const arrived = this.arrivedFor(sql, id);
      const isOurs = (row: SagaRow | undefined): row is SagaRow => row?.worker === this.client.name && row.dueMs !== undefined;
      if (!isOurs(sql.get<SagaRow>(this.names.saga, id)) || !(await sql.lock(this.names.saga, id, { waits }))) return undefined;
      const row = sql.get<SagaRow>(this.names.saga, id);
      return isOurs(row) ? this.stored(row, arrived) : undefined;
    });
    const savepoint = await tx.savepoint();
    return saga && { saga, savepoint: { rollback: () => savepoint.rollback(), release: async () => undefined } };
  }

  change(tx: Transaction, change: SagaChange): Promise<void> {
    const sql = sqlOf(tx);
    return sql.statement(() => this.changing(sql, change));
  }

  tell(tx: Transaction, tellings: readonly SagaTelling[]): Promise<void> {
    const sql = sqlOf(tx);
    return sql.statement(() => this.arrive(sql, tellings));
  }

  signal(tx: Transaction, { type, key, value }: SignalKey & { readonly value: unknown }): Promise<void> {
    const sql = sqlOf(tx);
    return sql.statement(async () => {
      const place = `${type} ${key}`;
      await sql.lock(this.names.signal, place);
      const { waiting } = sql.get<SignalRow>(this.names.signal, place) ?? { waiting: [] };
      const json = JSON.stringify(value ?? null);
      sql.put(this.names.signal, place, { value: waiting.length === 0 ? { json } : undefined, waiting: [] } satisfies SignalRow);
      this.arrive(
        sql,
        waiting.map((id) => ({ id, event: { kind: 'signalled', type, key, value: JSON.parse(json) as unknown } })),
      );
    });
  }

  /** Writes a change of a row that is locked. */
  async changing(
    sql: SimulatedTransaction,
    { id, state, progress, notes, afterMs, isTaken, isDeaf = false, reach }: SagaChange,
  ): Promise<void> {
    const row = sql.get<SagaRow>(this.names.saga, id);
    if (row === undefined) return;
    const { nowMs } = this.db;
    const isAtWork = progress.status === 'running' || progress.status === 'compensating';
    const deadlineMs = progress.status === 'running' ? row.deadlineMs : undefined;
    const isStillDue = afterMs === 0 && row.dueMs !== undefined && row.dueMs <= nowMs;
    const dueMs = isStillDue ? row.dueMs : least(afterMs === undefined ? undefined : nowMs + afterMs, deadlineMs);
    sql.put(this.names.saga, id, {
      ...row,
      ...{ isDeaf, deadlineMs, updatedMs: nowMs },
      state: state ?? row.state,
      progress: JSON.stringify(progress),
      revision: row.revision + 1,
      deaths: 0,
      dueMs: isAtWork ? dueMs : undefined,
      worker: isTaken ? this.client.name : undefined,
      endedMs: hasEnded(progress) ? nowMs : undefined,
    } satisfies SagaRow);
    this.note(sql, id, notes);
    if (reach === undefined) return;
    for (const number of reach.seen)
      if (sql.get<EventRow>(this.names.event, number)?.saga === id) sql.put(this.names.event, number, undefined);
    this.arrive(sql, reach.tells);
    for (const { type, key } of reach.awaitsNoMore) {
      await sql.lock(this.names.signal, `${type} ${key}`);
      const signal = sql.get<SignalRow>(this.names.signal, `${type} ${key}`);
      if (signal === undefined) continue;
      sql.put(this.names.signal, `${type} ${key}`, { ...signal, waiting: signal.waiting.filter((one) => one !== id) } satisfies SignalRow);
    }
    for (const awaited of [...reach.awaits].sort((a, b) => (`${a.type} ${a.key}` < `${b.type} ${b.key}` ? -1 : 1)))
      await this.await(sql, id, awaited);
  }

  private async await(sql: SimulatedTransaction, id: string, { type, key }: SignalKey): Promise<void> {
    const place = `${type} ${key}`;
    await sql.lock(this.names.signal, place);
    const { value, waiting } = sql.get<SignalRow>(this.names.signal, place) ?? { value: undefined, waiting: [] };
    const isMet = value !== undefined;
    const others = waiting.filter((one) => one !== id);
    sql.put(this.names.signal, place, { value: undefined, waiting: isMet ? waiting : [...others, id] } satisfies SignalRow);
    if (isMet) this.leave(sql, id, { kind: 'signalled', type, key, value: JSON.parse(value.json) as unknown });
  }

  private arrive(sql: SimulatedTransaction, tellings: readonly SagaTelling[]): void {
    for (const { id, event } of tellings) {
      const row = sql.get<SagaRow>(this.names.saga, id);
      if (row !== undefined && row.endedMs === undefined) this.leave(sql, id, event);
    }
  }

  private leave(sql: SimulatedTransaction, saga: string, event: SagaArrival): void {
    sql.put(this.names.event, String(this.db.next()), { saga, event: JSON.stringify(event) } satisfies EventRow);
  }

  private note(sql: SimulatedTransaction, saga: string, notes: readonly SagaNote[]): void {
    for (const note of notes) sql.add(this.names.history, { ...note, saga, atMs: this.db.nowMs } satisfies HistoryRow);
  }

  private arrivedFor(sql: SimulatedTransaction, id: string): readonly ArrivedEvent[] {
    const events = sql.all<EventRow>(this.names.event).filter(([, { saga }]) => saga === id);
    return events
      .map(([number, { event }]) => ({ number, event: JSON.parse(event) as SagaArrival }))
      .sort((a, b) => Number(a.number) - Number(b.number));
  }

  stored({ progress, revision, ...row }: SagaRow, arrived: readonly ArrivedEvent[]): StoredSaga {
    const { id, saga, version, outline, state, deaths, parent, deadlineMs } = row;
    const { nowMs } = this.db;
    return {
      ...{ id, saga, version, outline, state, deaths, parent, nowMs, arrived },
      progress: JSON.parse(progress) as SagaProgress,
      revision: BigInt(revision),
      isOverdue: deadlineMs !== undefined && deadlineMs <= nowMs,
    };
  }
}

class SimulatedSagaOperations implements SagaOperationStore {
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

  look(id: string): Promise<{ readonly state: string; readonly progress: SagaProgress } | undefined> {
    return this.db.alone(this.client, (sql) => {
      const row = sql.get<SagaRow>(this.store.names.saga, id);
      return row && { state: row.state, progress: JSON.parse(row.progress) as SagaProgress };
    });
  }

  list({ saga, status, since, limit = 100, cursor }: Parameters<SagaOperationStore['list']>[0]): ReturnType<SagaOperationStore['list']> {
    return this.db.alone(this.client, (sql) => {
      if (limit < 1) throw hfError('HF_OPERATOR_PAGE', { what: 'limit', value: limit });
      const rows = sql.all<SagaRow>(this.store.names.saga).map(([, row]) => row);
      const wanted = rows
        .filter((row) => saga === undefined || row.saga === saga)
        .filter((row) => status === undefined || statusOf(row) === status)
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
        await this.store.changing(sql, change({ ...this.store.stored(row, []), isOverdue: false }));
        sql.add(audit, { action: `saga ${name}`, target: id, by, reason });
        return true;
      });
    } catch (error) {
      if ((error as { code?: unknown }).code !== '55P03') throw error;
      throw hfError('HF_SAGA_IN_WORK', { id, waitMs: OPERATOR_WAIT_MS }, { cause: error });
    }
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
  const { status, at, failure, parked } = JSON.parse(row.progress) as SagaProgress;
  return {
    id: row.id,
    saga: row.saga,
    version: row.version,
    status,
    step: at[0]?.step,
    attempts: at[0]?.attempts ?? 0,
    waitsFor: at.flatMap(({ step, callMs, waits = [] }) => (callMs === undefined ? waits.map((wait) => `${step}: ${waitText(wait)}`) : [])),
    failure: parked?.failure ?? failure,
    startedAt: new Date(row.startedMs),
    updatedAt: new Date(row.updatedMs),
    history: history.map(({ step, event, detail, atMs }) => ({ step, event, detail, at: new Date(atMs) })),
  };
}

function hasEnded({ status }: SagaProgress): boolean {
  return status === 'completed' || status === 'compensated';
}

function sqlOf(tx: Transaction): SimulatedTransaction {
  return tx as SimulatedTransaction;
}
