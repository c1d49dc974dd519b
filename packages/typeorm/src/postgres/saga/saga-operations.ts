import {
  hfError,
  type OpenSagas,
  type OperatorAction,
  type OperatorChange,
  type Page,
  type Paged,
  type SagaChange,
  type SagaFilter,
  type SagaInstance,
  type SagaOperationStore,
  type SagaStatus,
  type SagaOutline,
  type StoredSaga,
  sagaStandingOf,
} from '@holdfast/core';
import { audit } from '../audit.js';
import { Conditions, isRowId, pageLimit } from '../conditions.js';
import type { PostgresContext } from '../context.js';
import { LONG_PAUSES, prepared, type SqlRunner, type Statement } from '../sql/sql.js';
import { textRow } from '../sql/transaction-sql.js';
import { type HistoryRow, instanceOf, LOCKED_COLUMNS, progressOf, type SagaRow, storedOf } from './saga-rows.js';

const COLUMNS = 's.id, s.number, s.saga, s.version, s.status, s.progress, s.started_at, s.updated_at';
/** Rows that are read at once where only their progress tells whether they are asked for. */
const LOOKED_AT = 500;
/** The largest number a row can have. */
const BEHIND_ALL = String(2n ** 63n - 1n);

/** Longest wait of an operator, who has a connection meanwhile, for the end of an attempt. */
const LOCK_MS = 3000;
/** SQLSTATE lock_not_available */
const LOCK_NOT_AVAILABLE = '55P03';

/** Sagas of one service, as operators see and repair them. */
export class PostgresSagaOperations implements SagaOperationStore {
  private readonly lookStatement;

  /** @param changing the statements that write a change */
  constructor(
    private readonly context: PostgresContext,
    private readonly changing: (change: SagaChange) => readonly Statement[],
  ) {
    this.lookStatement = prepared(
      `select s.saga, s.version, s.state, s.status, s.progress from ${context.tables.saga} s where s.service = $1 and s.id = $2`,
    );
  }

  async find(id: string): Promise<SagaInstance | undefined> {
    const { pool, tables, service } = this.context;
    const { rows } = await pool.run<SagaRow>({
      text: `select ${COLUMNS} from ${tables.saga} s where s.service = $1 and s.id = $2`,
      values: [service, id],
    });
    const [row] = rows;
    if (row === undefined) return undefined;
    const history = await pool.run<HistoryRow>({
      text: `select step, event, detail, at from ${tables.sagaHistory} where service = $1 and saga_id = $2 order by number`,
      values: [service, id],
    });
    return instanceOf(row, history.rows);
  }

  async look(id: string): ReturnType<SagaOperationStore['look']> {
    const { pool, service } = this.context;
    const { rows } = await pool.run<SagaRow>(this.lookStatement(service, id));
    return rows[0] && { saga: rows[0].saga, version: rows[0].version, state: rows[0].state, progress: progressOf(rows[0]) };
  }

  async list({ saga, status, since, limit: asked, cursor }: SagaFilter & Page): Promise<Paged<SagaInstance>> {
    const limit = pageLimit(asked);
    if (cursor !== undefined && !isRowId(cursor)) throw hfError('HF_OPERATOR_PAGE', { what: 'cursor', value: cursor });
    const isByProgress = status === 'running' || status === 'waiting';
    const found: SagaRow[] = [];
    for await (const row of this.rows(
      { saga, status, since },
      cursor ?? BEHIND_ALL,
      isByProgress ? Math.max(LOOKED_AT, limit + 1) : limit + 1,
    )) {
      if (!isByProgress || sagaStandingOf(progressOf(row)) === status) found.push(row);
      if (found.length > limit) break;
    }
    const page = found.slice(0, limit);
    return { items: page.map((row) => instanceOf(row, [])), next: found.length > limit ? page.at(-1)?.number : undefined };
  }

  /** Those before a number, the last started first, `count` at once. Whether one waits is not asked of the database: a row that somebody has damaged would break the list of all others. */
  private async *rows({ saga, status, since }: SagaFilter, number: string, count: number): AsyncGenerator<SagaRow> {
    const { pool, tables, service } = this.context;
    const where = new Conditions(service);
    // Numbers begin with 1; their partial index wants to see it.
    where.and('s.number > 0');
    if (saga !== undefined) where.and(`s.saga = ${where.bind(saga)}`);
    // The partial index of what is parked wants to see it.
    if (status === 'parked') where.and(`s.status = 'parked'`);
    else if (status !== undefined) where.and(`s.status = ${where.bind(status === 'waiting' ? 'running' : status)}`);
    // So does that of what is open: few beside those that have ended.
    if (status === 'running' || status === 'waiting' || status === 'compensating') where.and('s.ended_at is null');
    if (since !== undefined) where.and(`s.started_at >= ${where.bind(since)}`);
    where.and(`s.number < ${where.bind(number)}::bigint`);
    const text = `select ${COLUMNS} from ${tables.saga} s where s.service = $1 ${where.text} order by s.number desc limit ${count}`;
    for (let { values } = where, isMore = true; isMore; ) {
      const { rows } = await pool.run<SagaRow>({ text, values });
      yield* rows;
      isMore = rows.length === count;
      values = [...values.slice(0, -1), rows.at(-1)?.number];
    }
  }

  async operate(id: string, { name, ...action }: OperatorAction & { readonly name: string }, change: OperatorChange): Promise<boolean> {
    const { context } = this;
    let refusal: { readonly error: unknown } | undefined;
    const operating = async (sql: SqlRunner) => {
      const stored = await this.locked(sql, id);
      if (stored === undefined) return false;
      let changing: readonly Statement[];
      try {
        changing = this.changing(await change(stored));
      } catch (error) {
        // Nothing was written.
        refusal = { error };
        return true;
      }
      for (const statement of changing) await sql.run(statement);
      await audit(sql, context, { action: `saga ${name}`, target: id, ...action });
      return true;
    };
    const transaction = context.pool.transaction(operating, { settings: `set local lock_timeout = ${LOCK_MS}; ${LONG_PAUSES}` });
    const isThere = await transaction.catch((error: { code?: unknown }) => {
      throw error.code === LOCK_NOT_AVAILABLE ? hfError('HF_SAGA_IN_WORK', { id, waitMs: LOCK_MS }, { cause: error }) : error;
    });
    if (refusal !== undefined) throw refusal.error;
    return isThere;
  }

  private async locked(sql: SqlRunner, id: string): Promise<StoredSaga | undefined> {
    const { tables, service, clock } = this.context;
    const { rows } = await sql.run({
      text: `select ${LOCKED_COLUMNS}, false as is_overdue, extract(epoch from clock_timestamp() + $3 * interval '1 millisecond') * 1000 as now_ms
             from ${tables.saga} s where s.service = $1 and s.id = $2 for update of s`,
      values: [service, id, clock.aheadOfDatabaseMs()],
    });
    const [row] = rows;
    return row && storedOf(textRow(row), []);
  }

  purge(id: string, action: OperatorAction): Promise<SagaStatus | undefined> {
    const { context } = this;
    const { saga, sagaHistory, sagaEvent } = context.tables;
    return context.pool.transaction(async (sql) => {
      const values = [context.service, id];
      const { rows } = await sql.run<{ status: SagaStatus; has_ended: boolean }>({
        // One that is at work is not waited for: it has not ended.
        text: `with ended as (select status from ${saga} where service = $1 and id = $2 and ended_at is not null for update)
               select status, true as has_ended from ended
               union all select status, false from ${saga} where service = $1 and id = $2 and ended_at is null`,
        values,
      });
      const [row] = rows;
      if (!row?.has_ended) return row?.status;
      // With the children that it has started, and theirs: their ids are made of its own.
      await sql.run({
        text: `with recursive family as (
                 select s.id from ${saga} s where s.service = $1 and s.id = $2
                 union all select s.id from family f join ${saga} s on s.service = $1 and s.parent = f.id where s.ended_at is not null),
               gone as (delete from ${saga} s using family f where s.service = $1 and s.id = f.id),
               told as (delete from ${sagaEvent} e using family f where e.service = $1 and e.saga_id = f.id)
               delete from ${sagaHistory} h using family f where h.service = $1 and h.saga_id = f.id`,
        values,
      });
      await audit(sql, context, { action: 'saga purge', target: id, ...action });
      return row.status;
    });
  }

  async openBesides(known: readonly SagaOutline[]): Promise<readonly OpenSagas[]> {
    const { pool, tables, service } = this.context;
    const first = (condition: string) =>
      `select s.saga, s.version, s.outline from ${tables.saga} s where s.service = $1 and s.ended_at is null ${condition} order by s.saga, s.version, s.outline limit 1`;
    const { rows } = await pool.run<{ saga: string; version: number; outline: string; count: string }>({
      // From one definition to the next over the index: however many instances one has, one row of it is read.
      text: `with recursive v as (
               (${first('')})
               union all
               select n.* from v cross join lateral (${first('and (s.saga, s.version, s.outline) > (v.saga, v.version, v.outline)')}) n)
             select v.*,
               (select count(*) from ${tables.saga} s
                where s.service = $1 and s.saga = v.saga and s.version = v.version and s.outline = v.outline and s.ended_at is null) as count
             from v where (v.saga, v.version, v.outline) not in
               (select k.saga, k.version, k.outline from unnest($2::text[], $3::int[], $4::text[]) k(saga, version, outline)) order by 1, 2, 3`,
      values: [service, known.map(({ saga }) => saga), known.map(({ version }) => version), known.map(({ outline }) => outline)],
    });
    return rows.map(({ count, ...open }) => ({ ...open, count: Number(count) }));
  }

  async trim(keptMs: number, limit: number): Promise<number> {
    const { pool, tables, service, clock } = this.context;
    const kept = `(select clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond')`;
    const isUnheard = `service = $1 and waiting = '{}' and at < ${kept}`;
    const { rows } = await pool.run<{ count: string }>({
      // Once more outside: of a signal that somebody begins to wait for, or that comes again, the new row is looked at.
      text: `with old as (
               delete from ${tables.saga} where ctid = any(array(
                 select ctid from ${tables.saga} where service = $1 and ended_at < ${kept} limit $4))
               returning id),
             gone as (delete from ${tables.sagaHistory} h using old where h.service = $1 and h.saga_id = old.id),
             late as (delete from ${tables.sagaEvent} e using old where e.service = $1 and e.saga_id = old.id),
             unused as (delete from ${tables.sagaLock} where service = $1 and holder is null),
             unheard as (delete from ${tables.sagaSignal} where ctid = any(array(select ctid from ${tables.sagaSignal} where ${isUnheard} limit $4)) and ${isUnheard})
             select count(*) as count from old`,
      values: [service, clock.aheadOfDatabaseMs(), keptMs, limit],
    });
    return Number(rows[0]?.count ?? 0);
  }
}
