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
  type SagaProgress,
  type SagaStatus,
  type SagaOutline,
} from '@holdfast/core';
import { audit } from '../audit.js';
import { Conditions, isRowId, pageLimit } from '../conditions.js';
import type { PostgresContext } from '../context.js';
import { prepared, type Statement } from '../sql/sql.js';
import { type HistoryRow, instanceOf, LOCKED_COLUMNS, progressOf, type SagaRow } from './saga-rows.js';

const COLUMNS = 's.id, s.number, s.saga, s.version, s.status, s.progress, s.state, s.started_at, s.updated_at';

/** What makes a running one a waiting one, as `sagaStandingOf` has it. */
const WAITS = `(coalesce(s.progress::json #>> '{lock,isHeld}' = 'false', false)
  or not exists (select from json_array_elements(s.progress::json->'at') a where a->'callMs' is not null))`;

/** Longest wait of an operator, who has a connection meanwhile, for the end of an attempt. */
const LOCK_MS = 3000;
/** SQLSTATE lock_not_available */
const LOCK_NOT_AVAILABLE = '55P03';

/** Sagas of one service, as operators see and repair them. */
export class PostgresSagaOperations implements SagaOperationStore {
  private readonly lookStatement;

  /** @param changing the statement that writes a change */
  constructor(
    private readonly context: PostgresContext,
    private readonly changing: (change: SagaChange) => Statement,
  ) {
    this.lookStatement = prepared(`select s.state, s.status, s.progress from ${context.tables.saga} s where s.service = $1 and s.id = $2`);
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

  async look(id: string): Promise<{ readonly state: string; readonly progress: SagaProgress } | undefined> {
    const { pool, service } = this.context;
    const { rows } = await pool.run<SagaRow>(this.lookStatement(service, id));
    return rows[0] && { state: rows[0].state, progress: progressOf(rows[0]) };
  }

  async list({ saga, status, since, limit: asked, cursor }: SagaFilter & Page): Promise<Paged<SagaInstance>> {
    const { pool, tables, service } = this.context;
    const limit = pageLimit(asked);
    if (cursor !== undefined && !isRowId(cursor)) throw hfError('HF_OPERATOR_PAGE', { what: 'cursor', value: cursor });
    const where = new Conditions(service);
    // Numbers begin with 1; their partial index wants to see it.
    where.and('s.number > 0');
    if (saga !== undefined) where.and(`s.saga = ${where.bind(saga)}`);
    // The partial index of what is parked wants to see it.
    if (status === 'parked') where.and(`s.status = 'parked'`);
    else if (status === 'waiting') where.and(`s.status = 'running' and ${WAITS}`);
    else if (status === 'running') where.and(`s.status = 'running' and not ${WAITS}`);
    else if (status !== undefined) where.and(`s.status = ${where.bind(status)}`);
    if (since !== undefined) where.and(`s.started_at >= ${where.bind(since)}`);
    if (cursor !== undefined) where.and(`s.number < ${where.bind(cursor)}::bigint`);
    const { rows } = await pool.run<SagaRow>({
      text: `select ${COLUMNS} from ${tables.saga} s where s.service = $1 ${where.text} order by s.number desc limit ${limit + 1}`,
      values: where.values,
    });
    const items = rows.slice(0, limit);
    return { items: items.map((row) => instanceOf(row, [])), next: rows.length > limit ? items.at(-1)?.number : undefined };
  }

  async operate(id: string, action: OperatorAction & { readonly name: string }, change: OperatorChange): Promise<boolean> {
    try {
      return await this.operateNow(id, action, change);
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
      throw hfError('HF_SAGA_IN_WORK', { id, waitMs: LOCK_MS }, { cause: error });
    }
  }

  private async operateNow(
    id: string,
    { name, ...action }: OperatorAction & { readonly name: string },
    change: OperatorChange,
  ): Promise<boolean> {
    const { context } = this;
    let refusal: { readonly error: unknown } | undefined;
    const isThere = await context.pool.transaction(async (sql) => {
      await sql.run({ text: `set local lock_timeout = ${LOCK_MS}` });
      const { rows } = await sql.run<
        SagaRow & { revision: string; outline: string; deaths: number; parent: string | null; now_ms: string }
      >({
        text: `select ${LOCKED_COLUMNS}, extract(epoch from clock_timestamp() + $3 * interval '1 millisecond') * 1000 as now_ms
               from ${context.tables.saga} s where s.service = $1 and s.id = $2 for update of s`,
        values: [context.service, id, context.clock.aheadOfDatabaseMs()],
      });
      const [row] = rows;
      if (row === undefined) return false;
      const { number, saga, version, outline, state, revision, deaths, parent } = row;
      try {
        const about = { id, number, saga, version, outline, state, deaths, parent: parent ?? undefined, isOverdue: false, arrived: [] };
        const stored = { ...about, progress: progressOf(row), revision: BigInt(revision), nowMs: Number(row.now_ms) };
        await sql.run(this.changing(change(stored)));
      } catch (error) {
        refusal = { error };
        // What the server refused has ended the transaction, and its COMMIT fails by itself.
        return true;
      }
      await audit(sql, context, { action: `saga ${name}`, target: id, ...action });
      return true;
    });
    if (refusal !== undefined) throw refusal.error;
    return isThere;
  }

  purge(id: string, action: OperatorAction): Promise<SagaStatus | undefined> {
    const { context } = this;
    const { saga, sagaHistory, sagaEvent } = context.tables;
    return context.pool.transaction(async (sql) => {
      const values = [context.service, id];
      const { rows } = await sql.run<{ status: SagaStatus; ended_at: Date | null }>({
        text: `select status, ended_at from ${saga} where service = $1 and id = $2 for update`,
        values,
      });
      const [row] = rows;
      if (!row?.ended_at) return row?.status;
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
    const { rows } = await pool.run<{ count: string }>({
      text: `with old as (
               delete from ${tables.saga} where ctid = any(array(
                 select ctid from ${tables.saga} where service = $1 and ended_at < (select clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond') limit $4))
               returning id),
             gone as (delete from ${tables.sagaHistory} h using old where h.service = $1 and h.saga_id = old.id),
             late as (delete from ${tables.sagaEvent} e using old where e.service = $1 and e.saga_id = old.id),
             unused as (delete from ${tables.sagaLock} where service = $1 and holder is null),
             unheard as (delete from ${tables.sagaSignal} where ctid = any(array(
               select ctid from ${tables.sagaSignal} where service = $1 and waiting = '{}'
                 and at < (select clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond') limit $4)))
             select count(*) as count from old`,
      values: [service, clock.aheadOfDatabaseMs(), keptMs, limit],
    });
    return Number(rows[0]?.count ?? 0);
  }
}
