import type { SagaArrival, SagaNote } from '../../saga/saga-event.js';
import { nextMs, type SagaProgress } from '../../saga/saga-progress.js';
import type {
  ArrivedEvent,
  ClaimedSagas,
  ClaimTerms,
  LockedSaga,
  NewSaga,
  SagaChange,
  SagaOperationStore,
  SagaStore,
  SagaTelling,
  SignalKey,
  StoredSaga,
  WantedLock,
} from '../../saga/saga.store.port.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import { SimulatedSagaOperations } from './saga-operations.spec.js';
import type { HistoryRow, SagaRow } from './saga-rows.spec.js';
import type { Client, SimulatedDatabase, SimulatedTransaction } from './database.spec.js';

interface EventRow {
  readonly saga: string;
  /** JSON */
  readonly event: string;
}

interface SignalRow {
  readonly value: { readonly json: string } | undefined;
  readonly waiting: readonly string[];
}

interface KeyRow {
  readonly holder: string | undefined;
  readonly waiting: readonly string[];
}

const least = (...moments: readonly (number | undefined)[]) => {
  const given = moments.filter((one) => one !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
};

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
      key: nameOf('key'),
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
        dueMs: nextMs(progress) !== undefined ? nowMs : least(progress.status === 'running' && timeoutMs ? nowMs + timeoutMs : undefined),
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

  claimKey(tx: Transaction, { key, id }: WantedLock): Promise<string | undefined> {
    const sql = sqlOf(tx);
    return sql.statement(async () => {
      if (sql.get<SagaRow>(this.names.saga, id) !== undefined) return undefined;
      const known = sql.get<KeyRow>(this.names.key, key)?.holder;
      if (known !== undefined && known !== id) return known;
      await sql.lock(this.names.key, key);
      const { holder, waiting } = sql.get<KeyRow>(this.names.key, key) ?? { holder: undefined, waiting: [] };
      if (holder === id) return undefined;
      sql.put(this.names.key, key, { holder: holder ?? id, waiting } satisfies KeyRow);
      return holder ?? id;
    });
  }

  queueForKey(tx: Transaction, { key, id }: WantedLock): Promise<boolean> {
    const sql = sqlOf(tx);
    return sql.statement(async () => {
      await sql.lock(this.names.key, key);
      const { holder = id, waiting } = sql.get<KeyRow>(this.names.key, key) ?? { waiting: [] };
      const others = waiting.filter((one) => one !== id);
      sql.put(this.names.key, key, { holder, waiting: holder === id ? waiting : [...others, id] } satisfies KeyRow);
      return holder === id;
    });
  }

  dropKey(tx: Transaction, { key, id }: WantedLock): Promise<void> {
    const sql = sqlOf(tx);
    return sql.statement(async () => {
      await sql.lock(this.names.key, key);
      const row = sql.get<KeyRow>(this.names.key, key);
      if (row?.holder === id) sql.put(this.names.key, key, { ...row, holder: undefined } satisfies KeyRow);
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
        sql.put(this.names.saga, row.id, { ...row, worker: me, deaths, dueMs: row.dueMs ?? nowMs });
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
    if (reach.frees !== undefined) await this.free(sql, id, reach.frees);
    for (const awaited of [...reach.awaits].sort((a, b) => (`${a.type} ${a.key}` < `${b.type} ${b.key}` ? -1 : 1)))
      await this.await(sql, id, awaited);
  }

  private async free(sql: SimulatedTransaction, id: string, key: string): Promise<void> {
    await sql.lock(this.names.key, key);
    const { holder, waiting } = sql.get<KeyRow>(this.names.key, key) ?? { holder: undefined, waiting: [] };
    const freed: KeyRow =
      holder === id ? { holder: waiting[0], waiting: waiting.slice(1) } : { holder, waiting: waiting.filter((one) => one !== id) };
    sql.put(this.names.key, key, freed);
    if (freed.holder !== undefined) this.leave(sql, freed.holder, { kind: 'unlocked' });
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

  stored({ progress, revision, number, ...row }: SagaRow, arrived: readonly ArrivedEvent[]): StoredSaga {
    const { id, saga, version, outline, state, deaths, parent, deadlineMs } = row;
    const { nowMs } = this.db;
    return {
      ...{ id, saga, version, outline, state, deaths, parent, nowMs, arrived },
      progress: JSON.parse(progress) as SagaProgress,
      number: String(number),
      revision: BigInt(revision),
      isOverdue: deadlineMs !== undefined && deadlineMs <= nowMs,
    };
  }
}

function hasEnded({ status }: SagaProgress): boolean {
  return status === 'completed' || status === 'compensated';
}

function sqlOf(tx: Transaction): SimulatedTransaction {
  return tx as SimulatedTransaction;
}
