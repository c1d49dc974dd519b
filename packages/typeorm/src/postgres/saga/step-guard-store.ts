import type { FoundStep, GuardedStep, StepGuardStore, StepMark, Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { MIGRATION_LOCK } from '../schema/schema.js';
import { hasStepGuards, makeStepGuards } from '../schema/step-guards.js';
import { prepared, type SqlPool } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

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
    this.enterStatement = prepared(
      `insert into ${stepGuard} (service, saga_id, saga_number, step, operation, mark) values ($1, $2, $3::bigint, $4, $5, $6)
       on conflict do nothing returning mark`,
    );
    this.findStatement = prepared(`select mark, result from ${stepGuard} where ${isIt}`);
    this.keepStatement = prepared(`update ${stepGuard} set result = $6 where ${isIt}`);
  }

  async enter(tx: Transaction, step: GuardedStep, mark: StepMark): Promise<FoundStep | undefined> {
    const sql = sqlOf(tx);
    const key = this.keyOf(step);
    const { rows: written } = await sql.run<{ mark: string }>(this.enterStatement(...key, mark));
    if (written.length > 0) return undefined;
    // It may have been committed while this one waited for it: a statement of its own sees it.
    const { rows } = await sql.run<{ mark: StepMark; result: string | null }>(this.findStatement(...key));
    return rows[0] && { mark: rows[0].mark, result: rows[0].result ?? undefined };
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

  private keyOf({ sagaId, sagaNumber, step, operation }: GuardedStep): readonly [string, string, string, string, string] {
    return [this.context.service, sagaId, sagaNumber, step, operation];
  }
}
