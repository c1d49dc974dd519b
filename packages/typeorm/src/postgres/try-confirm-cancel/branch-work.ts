import type { BranchChange, BranchTerms, BranchWorkStore, ClaimedBranches, LockedBranch, Transaction } from '@holdfast/core';
import { claimed } from '../claimed.js';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import { IS_DURABLE, prepared, type Statement } from '../sql/sql.js';
import { sqlOf, type TextRow } from '../sql/transaction-sql.js';
import { DECISION, LOCKED_COLUMNS, SCOPE, storedOf } from './branch-rows.js';

/** Longest wait for a unit that has written its decision and not ended. */
const LOCK_TIMEOUT = '100ms';
/** A branch whose time is up is taken from a process that lives: whoever takes it has it for so long before the next one may. */
const OVERDUE = '10 seconds';
const LOCK_NOT_AVAILABLE = '55P03';

/** What ends branches. */
export class PostgresBranchWork implements BranchWorkStore {
  private readonly claimStatement;
  private readonly lockStatement;
  private readonly waitingLockStatement;
  private readonly changeStatement;
  private readonly decideStatement;

  constructor(private readonly context: PostgresContext) {
    const { branch, guard, node } = context.tables;
    const now = (parameter: string) => `(clock_timestamp() + ${parameter}::float8 * interval '1 millisecond')`;
    const isOrphaned = (worker: string) => `not exists (select from ${node} n where n.id = ${worker})`;
    // A process that dies of it while it starts is followed by the next one before anybody has taken it out.
    const isSilent = (worker: string) => `exists (select from ${node} n where n.id = ${worker} and n.seen_at < ${now('-$7')})`;
    // Before its first attempt is recorded a branch is still `trying`; once it is decided, its process may have died of that attempt.
    const isDecided = `exists (select from ${guard} g where g.scope = '${SCOPE}' and g.key = b.id and g.branch = '' and g.operation = '${DECISION}')`;
    // The time in a subquery of its own: an index is not searched for what may be another time in each row.
    // What a process that died has left behind is made due by whoever takes it out (nodes).
    this.claimStatement = prepared(
      `with due as (
         select b.id, b.worker, b.status, b.due_at from ${branch} b
         where b.service = $1 and b.method = any($3::text[]) and b.id <> all($4::text[]) and b.due_at <= (select ${now('$2')})
           and (b.worker is null or b.worker = $5::uuid or b.status = 'trying' or ${isOrphaned('b.worker')})
         order by b.due_at limit $6 for update of b skip locked),
       claimed as (
         update ${branch} b set worker = $5::uuid, due_at = case when b.status = 'trying' then ${now('$2')} + interval '${OVERDUE}' else b.due_at end,
           deaths = b.deaths + case when d.worker <> $5::uuid and (d.status <> 'trying' or ${isDecided} and (${isOrphaned('d.worker')} or ${isSilent('d.worker')})) then 1 else 0 end
         from due d where b.id = d.id returning b.id, d.due_at)
       select id, null::float8 as wait_ms from (select id from claimed order by due_at) c
       union all
       select null, extract(epoch from l.due_at - ${now('$2')}) * 1000 from
         (select b.due_at from ${branch} b where b.service = $1 and b.due_at > (select ${now('$2')}) order by b.due_at limit 1) l`,
    );
    const lock = `select ${LOCKED_COLUMNS}, g.status, set_config('application_name', $3, true) from ${branch} b
      left join ${guard} g on g.scope = '${SCOPE}' and g.key = b.id and g.branch = '' and g.operation = '${DECISION}'
      where b.id = $1 and b.worker = $2::uuid and b.due_at is not null for update of b`;
    this.lockStatement = prepared(`${lock} skip locked`);
    this.waitingLockStatement = prepared(lock);
    this.changeStatement = prepared(
      `update ${branch} set status = $2, operation = $3, attempts = $4::int, failure = $5, revision = revision + 1, deaths = 0,
         due_at = ${now('$6')} + $7::float8 * interval '1 millisecond', worker = null, updated_at = ${now('$6')},
         ended_at = case when $2 in ('confirmed', 'cancelled') then ${now('$6')} end
       where id = $1 and ${IS_DURABLE}`,
    );
    this.decideStatement = prepared(
      `insert into ${guard} (scope, key, branch, operation, status, reason)
       select '${SCOPE}', $1, '', '${DECISION}', 'rolled-back', 'by ' || $2 where ${IS_DURABLE} on conflict do nothing`,
    );
  }

  claim({ methods, inHand, limit }: BranchTerms): Promise<ClaimedBranches> {
    const { pool, service, nodeId, clock, silentForMs } = this.context;
    return claimed(pool, this.claimStatement(service, clock.aheadOfDatabaseMs(), methods, inHand, nodeId, limit, silentForMs ?? null));
  }

  async release(ids: readonly string[]): Promise<void> {
    const { pool, nodeId, tables, clock } = this.context;
    await pool.run({
      text: `update ${tables.branch} set worker = null, due_at = least(due_at, clock_timestamp() + $3::float8 * interval '1 millisecond')
             where id = any($1::text[]) and worker = $2::uuid and due_at is not null`,
      values: [ids, nodeId, clock.aheadOfDatabaseMs()],
    });
  }

  async unbegun(id: string): Promise<void> {
    const { pool, nodeId, tables } = this.context;
    await pool.run({
      text: `update ${tables.branch} set is_unbegun = true where id = $1 and worker = $2::uuid and not is_tried`,
      values: [id, nodeId],
    });
  }

  decide(id: string): Promise<boolean> {
    return this.context.pool.transaction(async (sql) => {
      await sql.run({ text: `set local lock_timeout = '${LOCK_TIMEOUT}'; savepoint asked` });
      try {
        await sql.run(this.decideStatement(id, this.context.nodeId));
        return true;
      } catch (error) {
        if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
        await sql.run({ text: 'rollback to savepoint asked' });
        return false;
      }
    });
  }

  async lock(tx: Transaction, id: string, { waits }: { readonly waits: boolean }): Promise<LockedBranch | 'busy' | 'gone'> {
    const { nodeId, tables } = this.context;
    const sql = sqlOf(tx);
    let row: TextRow | undefined;
    // Together with BEGIN and the savepoint, in one round trip.
    await sql.runFirst({
      ...(waits ? this.waitingLockStatement : this.lockStatement)(id, nodeId, sessionName(nodeId)),
      answered: (answer) => {
        row = answer;
      },
    });
    const savepoint = await sql.savepoint({ isLast: true });
    if (row !== undefined) return { branch: storedOf(row), savepoint };
    const { rows } = await sql.run({
      text: `select from ${tables.branch} where id = $1 and worker = $2::uuid and due_at is not null`,
      values: [id, nodeId],
    });
    return rows.length === 0 ? 'gone' : 'busy';
  }

  async change(tx: Transaction, id: string, change: BranchChange): Promise<void> {
    await sqlOf(tx).runLast(this.changing(id, change));
  }

  /** The statement that writes a change; whoever looks first goes on with the branch. */
  changing(id: string, { progress, afterMs }: BranchChange): Statement {
    const { status, operation, attempts, failure } = progress;
    const { clock } = this.context;
    return this.changeStatement(
      id,
      status,
      operation ?? null,
      attempts,
      failure === undefined ? null : JSON.stringify(failure),
      clock.aheadOfDatabaseMs(),
      afterMs ?? null,
    );
  }
}
