import type { ClaimedSagas, ClaimTerms, LockedSaga, NewSaga, SagaChange, SagaOperationStore, SagaStore, Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import { IS_DURABLE, prepared, type Statement } from '../sql/sql.js';
import { sqlOf, type TextRow } from '../sql/transaction-sql.js';
import { PostgresSagaOperations } from './saga-operations.js';
import { folded, LOCKED_COLUMNS, notesText, storedOf } from './saga-rows.js';

interface ClaimRow {
  readonly id: string | null;
  readonly wait_ms: number | null;
}

/** Sagas as rows: one for each instance, and its history apart. */
export class PostgresSagaStore implements SagaStore {
  readonly operations: SagaOperationStore;
  private readonly startStatement;
  private readonly claimStatement;
  private readonly lockStatement;
  private readonly waitingLockStatement;
  private readonly changeStatement;

  constructor(private readonly context: PostgresContext) {
    const { saga, sagaHistory, node } = context.tables;
    const now = (parameter: string) => `(clock_timestamp() + ${parameter}::float8 * interval '1 millisecond')`;
    const after = (parameter: string, ms: string) =>
      `(clock_timestamp() + (${parameter}::float8 + ${ms}::float8) * interval '1 millisecond')`;
    const noted = (from: string, notes: string) =>
      `insert into ${sagaHistory} (service, saga_id, step, event, detail, at)
       select $1, ${from}.id, n.note->>'step', n.note->>'event', n.note->>'detail', ${now('$3')}
       from ${from}, json_array_elements(${notes}::json) with ordinality n(note, place) order by n.place`;
    this.startStatement = prepared(
      `with made as (
         insert into ${saga} (service, id, saga, version, outline, status, step, progress, state, due_at, deadline_at, worker, started_at, updated_at)
         select $1, $2, $4, $5::int, $14, $6, $7, $8, $9, ${now('$3')}, ${after('$3', '$10')}, $11::uuid, ${now('$3')}, ${now('$3')}
         where ${IS_DURABLE} and set_config('application_name', $13, true) is not null
         on conflict (service, id) do nothing returning id),
       noted as (${noted('made', '$12')})
       select exists (select from made) as is_started, (select s.saga from ${saga} s where s.service = $1 and s.id = $2) as saga`,
    );
    // The time in a subquery of its own: an index is not searched for what may be another time in each row.
    // Whoever is registered is alive, or its rows are still its own: a process that died is taken out by the others (nodes).
    this.claimStatement = prepared(
      `with due as (
         select s.id, s.worker from ${saga} s
         where s.service = $1 and s.due_at <= (select ${now('$2')}) and (s.saga, s.version) in (select v.saga, v.version from unnest((select $3::text[]), (select $4::int[])) v(saga, version))
           and s.id <> all((select $5::text[])::text[]) and (s.worker is null or s.worker = $6::uuid or not exists (select from ${node} n where n.id = s.worker))
         order by s.due_at limit (select $7::bigint) for update of s skip locked),
       claimed as (
         update ${saga} s set worker = $6::uuid, deaths = s.deaths + case when d.worker <> $6::uuid then 1 else 0 end
         from due d where s.service = $1 and s.id = d.id returning s.id, s.due_at)
       select id, null::float8 as wait_ms from (select id from claimed order by due_at) c
       union all
       select null, extract(epoch from l.due_at - ${now('$2')}) * 1000 from
         (select s.due_at from ${saga} s where s.service = $1 and s.due_at > (select ${now('$2')}) order by s.due_at limit 1) l`,
    );
    // Not `due_at is not null`: where little is due, the index of what is due looks as good as the primary key, to a plan that is kept.
    // Under a name by which others can end the session of a frozen process (nodes).
    const lock = `select ${LOCKED_COLUMNS}, coalesce(s.deadline_at <= ${now('$4')}, false) as is_overdue, set_config('application_name', $5, true) from ${saga} s
      where s.service = $1 and s.id = $2 and s.worker = $3::uuid and num_nulls(s.due_at) = 0 for update of s`;
    this.lockStatement = prepared(`${lock} skip locked`);
    this.waitingLockStatement = prepared(lock);
    // Steps that follow each other leave `due_at` as it is: no index has to be written then.
    this.changeStatement = prepared(
      `with changed as (
         update ${saga} s set status = $4, step = $5, attempts = $6::int, progress = $7, state = coalesce($8, s.state), revision = s.revision + 1, deaths = 0,
           deadline_at = case when $4 = 'running' then s.deadline_at end,
           due_at = case when $9::float8 is null then null when $9::float8 = 0 and s.due_at <= ${now('$3')} then s.due_at
             else least(${after('$3', '$9')}, case when $4 = 'running' then s.deadline_at end) end,
           worker = $10::uuid, updated_at = ${now('$3')}, ended_at = case when $4 in ('completed', 'compensated') then ${now('$3')} end
         where s.service = $1 and s.id = $2 and ${IS_DURABLE} returning s.id)
       ${noted('changed', '$11')}`,
    );
    this.operations = new PostgresSagaOperations(context, (change) => this.changing(change));
  }

  async start(tx: Transaction, begun: NewSaga): Promise<{ readonly isStarted: boolean; readonly saga: string | undefined }> {
    const { id, saga, version, outline, state, progress, notes, timeoutMs, isTaken } = begun;
    const { service, nodeId, clock, tables } = this.context;
    const sql = sqlOf(tx);
    const { rows } = await sql.run<{ is_started: boolean; saga: string | null }>(
      this.startStatement(
        service,
        id,
        clock.aheadOfDatabaseMs(),
        saga,
        version,
        progress.status,
        progress.step ?? null,
        folded(progress),
        state,
        timeoutMs ?? null,
        isTaken ? nodeId : null,
        notesText(notes),
        sessionName(nodeId),
        outline,
      ),
    );
    if (rows[0]?.is_started) return { isStarted: true, saga };
    if (rows[0]?.saga) return { isStarted: false, saga: rows[0].saga };
    // It was committed while this one waited for it: the next statement sees it, where the isolation lets it.
    const later = await sql.run<{ saga: string }>({
      text: `select saga from ${tables.saga} where service = $1 and id = $2`,
      values: [service, id],
    });
    return { isStarted: false, saga: later.rows[0]?.saga };
  }

  async claim({ versions, inHand, limit }: ClaimTerms): Promise<ClaimedSagas> {
    const { pool, service, nodeId, clock } = this.context;
    const names = versions.map(({ saga }) => saga);
    const numbers = versions.map(({ version }) => version);
    const { rows } = await pool.run<ClaimRow>(
      this.claimStatement(service, clock.aheadOfDatabaseMs(), names, numbers, inHand, nodeId, limit),
    );
    const wait = rows.find(({ id }) => id === null)?.wait_ms;
    const ids = rows.flatMap(({ id }) => (id === null ? [] : [id]));
    return { ids, nextDueMs: wait === null || wait === undefined ? undefined : Math.max(0, Math.ceil(wait)) };
  }

  async release(ids: readonly string[]): Promise<void> {
    const { pool, service, nodeId, tables } = this.context;
    await pool.run({
      text: `update ${tables.saga} set worker = null where service = $1 and id = any($2::text[]) and worker = $3::uuid`,
      values: [service, ids, nodeId],
    });
  }

  async lock(tx: Transaction, id: string, { waits }: { readonly waits: boolean }): Promise<LockedSaga | undefined> {
    const { service, nodeId, clock } = this.context;
    const statement = waits ? this.waitingLockStatement : this.lockStatement;
    let row: TextRow | undefined;
    // Together with BEGIN and the savepoint, in one round trip.
    await sqlOf(tx).runFirst({
      ...statement(service, id, nodeId, clock.aheadOfDatabaseMs(), sessionName(nodeId)),
      answered: (answer) => {
        row = answer;
      },
    });
    const savepoint = await tx.savepoint();
    if (row === undefined) return undefined;
    // COMMIT comes next, and releases it.
    return { saga: storedOf(row), savepoint: { rollback: () => savepoint.rollback(), release: async () => undefined } };
  }

  async change(tx: Transaction, change: SagaChange): Promise<void> {
    await sqlOf(tx).runLast(this.changing(change));
  }

  private changing({ id, state, progress, notes, afterMs, isTaken }: SagaChange): Statement {
    const { service, nodeId, clock } = this.context;
    return this.changeStatement(
      service,
      id,
      clock.aheadOfDatabaseMs(),
      progress.status,
      progress.step ?? null,
      progress.attempts,
      folded(progress),
      state ?? null,
      afterMs ?? null,
      isTaken ? nodeId : null,
      notesText(notes),
    );
  }
}
