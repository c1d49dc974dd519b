import { createHash } from 'node:crypto';
import {
  type FoundStep,
  type GuardedStep,
  hfError,
  type NewStepGuard,
  type StepGuardStore,
  type StepMark,
  type Transaction,
} from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import { MIGRATION_LOCK } from '../schema/schema.js';
import { hasStepGuards, makeStepGuards } from '../schema/step-guards.js';
import { IS_DURABLE, prepared, type SqlPool } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** Characters at the end of a session's name that say which step it has in work; with them the name is as long as PostgreSQL lets it be. */
const STEP_NAME = 16;
/** Longest wait for the end of a session. */
const TERMINATE_MS = 1000;

/** Guard rows of steps of sagas, each in the DataSource of its step. */
export class PostgresStepGuardStore implements StepGuardStore {
  private readonly enterStatement;
  private readonly findStatement;
  private readonly keepStatement;

  /** @param poolOf connections to a DataSource, by its name */
  constructor(
    private readonly context: PostgresContext,
    private readonly poolOf: (dataSource: string) => SqlPool,
  ) {
    const { stepGuard } = context.tables;
    const isIt = 'service = $1 and saga_id = $2 and saga_number = $3::bigint and step = $4 and operation = $5';
    const ended = `(select count(pg_terminate_backend(pid, ${TERMINATE_MS})) from pg_stat_activity
       where datname = current_database() and right(application_name, ${STEP_NAME}) = right($7, ${STEP_NAME}) and length(application_name) = length($7)
         and usename = current_user and pid <> pg_backend_pid())`;
    this.enterStatement = prepared(
      `insert into ${stepGuard} (service, saga_id, saga_number, step, operation, mark)
       select $1, $2, $3::bigint, $4, $5, $6
       where ${IS_DURABLE} and (not $8::boolean or ${ended} >= 0) and set_config('application_name', $7, true) is not null
       on conflict do nothing returning mark`,
    );
    this.findStatement = prepared(`select mark, result from ${stepGuard} where ${isIt}`);
    this.keepStatement = prepared(`update ${stepGuard} set result = $6 where ${isIt}`);
  }

  async enter(tx: Transaction, { step, mark, mayBeHeld }: NewStepGuard): Promise<FoundStep | undefined> {
    const sql = sqlOf(tx);
    const key = this.keyOf(step);
    const { rows: written } = await sql.run<{ mark: string }>(this.enterStatement(...key, mark, this.sessionOf(step), mayBeHeld));
    if (written.length > 0) return undefined;
    // It may have been committed while this one waited for it: a statement of its own sees it.
    const { rows } = await sql.run<{ mark: StepMark; result: string | null }>(this.findStatement(...key));
    const [found] = rows;
    if (found === undefined) throw hfError('HF_SAGA_STEP_TRIMMED', { step: step.step, id: step.sagaId });
    return { mark: found.mark, result: found.result ?? undefined };
  }

  async keep(tx: Transaction, step: GuardedStep, result: string): Promise<void> {
    await sqlOf(tx).run(this.keepStatement(...this.keyOf(step), result));
  }

  async without(dataSources: readonly string[]): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const name of dataSources) if (!(await hasStepGuards(this.poolOf(name), this.context.tables))) missing.push(name);
    return missing;
  }

  async create(dataSources: readonly string[]): Promise<void> {
    for (const name of dataSources)
      await this.poolOf(name).transaction(async (sql) => {
        // Two nodes that make the same table at once would fail in each other's way, also with `if not exists`.
        await sql.run({ text: `select pg_advisory_xact_lock(${MIGRATION_LOCK})` });
        await makeStepGuards(sql, this.context.tables);
      });
  }

  async trim(dataSources: readonly string[], keptMs: number, limit: number): Promise<number> {
    const { service, clock, tables } = this.context;
    let most = 0;
    for (const name of dataSources) {
      const { rowCount } = await this.poolOf(name).run({
        text: `delete from ${tables.stepGuard} where ctid = any(array(select ctid from ${tables.stepGuard}
                 where service = $1 and at < (select clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond') limit $4))`,
        values: [service, clock.aheadOfDatabaseMs(), keptMs, limit],
      });
      most = Math.max(most, rowCount);
    }
    return most;
  }

  /** The same for a step and what undoes it: the one holds up the other. */
  private sessionOf({ sagaId, sagaNumber, step }: GuardedStep): string {
    const key = JSON.stringify([this.context.service, sagaId, sagaNumber, step]);
    return `${sessionName(this.context.nodeId)} ${createHash('sha256').update(key).digest('hex').slice(0, STEP_NAME)}`;
  }

  private keyOf({ sagaId, sagaNumber, step, operation }: GuardedStep): readonly [string, string, string, string, string] {
    return [this.context.service, sagaId, sagaNumber, step, operation];
  }
}
