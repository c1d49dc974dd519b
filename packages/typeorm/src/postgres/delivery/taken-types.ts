import type { Leftover, Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import type { Tables } from '../schema/tables.js';
import { LONG_PAUSES, prepared, type SqlRunner } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** What a process takes. */
export interface Taken {
  readonly subscriptionId: number;
  readonly types: readonly string[];
  readonly nodeId: string;
}

interface LeftoverRow {
  readonly id: number;
  readonly name: string;
  readonly ordering: 'none' | 'key';
  readonly types: readonly string[];
}

/** What a process took that has left, its subscription goes on with for so long: a rollback, or a slow restart, finds what came meanwhile. */
const AFTER_LEAVING_MS = 600_000;

/** Whether a row of taken types is that of a process that lives, or left a moment ago. */
function isTaken({ node }: Tables): string {
  return `(t.left_at > clock_timestamp() - interval '${AFTER_LEAVING_MS} milliseconds' or exists (select from ${node} n where n.id = t.node_id))`;
}

/** Types of the subscription `s`, in SQL: what was declared last, and what processes of another version take besides. Costs next to nothing when there are none. */
export function typesOf(tables: Tables): string {
  return `(s.types || array(select distinct t.type from ${tables.takenType} t
    where t.subscription_id = s.id and t.type <> all(s.types) and ${isTaken(tables)} order by 1))`;
}

/** The same as `w.types`, found once for each row of `s`. */
export function joinedTypes(tables: Tables): string {
  return `cross join lateral (select ${typesOf(tables)} as types offset 0) w`;
}

/** Notes when the processes `$1` ended, in SQL. */
export function leaving({ takenType }: Tables): string {
  return `update ${takenType} set left_at = clock_timestamp() where node_id = any($1::uuid[])`;
}

/** Keeps every process from registering until the transaction ends. */
export async function lockSubscriptions(sql: SqlRunner, { tables }: PostgresContext): Promise<void> {
  await sql.run({ text: `lock table ${tables.subscription} in share row exclusive mode` });
}

/** Which process takes which types, so that a broker is not asked for what nobody takes any more. */
export class TakenTypes {
  private readonly markStatement;
  private readonly leftStatement;
  private readonly typesStatement;

  constructor(private readonly context: PostgresContext) {
    const { takenType, subscription, node } = context.tables;
    const isLive = `exists (select from ${node} n where n.id = t.node_id)`;
    this.markStatement = prepared(
      `update ${takenType} t set left_at = case when ${isLive} then null else clock_timestamp() end
       from ${subscription} s where s.id = t.subscription_id and s.service = $1 and (t.left_at is null) <> ${isLive}`,
    );
    this.typesStatement = prepared(`select ${typesOf(context.tables)} as types from ${subscription} s where s.id = $1`);
    // A process that has said nothing may take anything.
    this.leftStatement = prepared(
      `select s.id, s.name, s.ordering, array_agg(t.type order by t.type) as types
       from ${subscription} s cross join lateral (
         select t.type from ${takenType} t where t.subscription_id = s.id group by t.type
         having bool_and(not ${isLive} and coalesce(t.left_at < clock_timestamp() - $2 * interval '1 millisecond', false))) t
       where s.service = $1 and not exists (
         select from ${node} n where n.id = any(s.served_by)
           and not exists (select from ${takenType} own where own.subscription_id = s.id and own.node_id = n.id))
       group by s.id order by s.id`,
    );
  }

  /** What a subscription takes, of all versions. */
  async of(tx: Transaction, subscriptionId: number): Promise<ReadonlySet<string>> {
    const { rows } = await sqlOf(tx).run<{ types: string[] }>(this.typesStatement(subscriptionId));
    return new Set(rows[0]?.types);
  }

  /** In the transaction that registers. What processes that are gone said of the same types says nothing more, nor what this one said before. */
  async note(sql: SqlRunner, { subscriptionId, types, nodeId }: Taken): Promise<void> {
    if (types.length === 0) return;
    const { takenType, node } = this.context.tables;
    await sql.run({
      text: `delete from ${takenType} t where subscription_id = $1 and type = any($2::text[])
               and not exists (select from ${node} n where n.id = t.node_id)
               or subscription_id = $1 and type <> all($2::text[]) and node_id = $3`,
      values: [subscriptionId, types, nodeId],
    });
    await sql.run({
      text: `insert into ${takenType} (subscription_id, type, node_id) select $1, unnest($2::text[]), $3 on conflict do nothing`,
      values: [subscriptionId, types, nodeId],
    });
  }

  async clear(afterMs: number, unroute: (leftover: Leftover) => Promise<void>): Promise<void> {
    const { pool, service, tables } = this.context;
    await pool.run(this.markStatement(service));
    const { rows: some } = await pool.run(this.leftStatement(service, afterMs));
    if (some.length === 0) return;
    const work = async (sql: SqlRunner) => {
      await lockSubscriptions(sql, this.context);
      const { rows } = await sql.run<LeftoverRow>(this.leftStatement(service, afterMs));
      for (const { id, name, ordering, types } of rows) {
        await unroute({ name, ordering, types });
        await sql.run({
          text: `delete from ${tables.takenType} where subscription_id = $1 and type = any($2::text[])`,
          values: [id, types],
        });
      }
    };
    await pool.transaction(work, { settings: LONG_PAUSES });
  }
}
