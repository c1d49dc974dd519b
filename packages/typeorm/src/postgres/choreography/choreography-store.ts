import { type Abort, type ChoreographyStore, type NewPart, type PartOutcome, type Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { prepared } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';
import { BOUNDED, inTurn } from './in-turn.js';
import { nextPart } from './next-part.js';

/** What this service did for choreographed sagas: a row for each saga, which is what records and aborts wait for, and one for each part. */
export class PostgresChoreographyStore implements ChoreographyStore {
  private readonly recordStatement;
  private readonly abortStatement;

  constructor(private readonly context: PostgresContext) {
    const { choreography, choreographyPart } = context.tables;
    const now = (parameter: string) => `clock_timestamp() + ${parameter}::float8 * interval '1 millisecond'`;
    const answer = (columns: string) => `select n.*, set_config('lock_timeout', b.old, true) from (${columns}) n cross join b`;
    this.recordStatement = prepared(
      `with ${BOUNDED},
       s as (insert into ${choreography} as c (service, id, parts, updated_at) select $1, $2, 1, ${now('$3')} from b
         on conflict (service, id) do update set parts = c.parts + 1, updated_at = excluded.updated_at where c.aborted_at is null returning parts),
       p as (insert into ${choreographyPart} (service, saga_id, number, subscription_id, source, message_id, type, attributes, body)
         select $1, $2, s.parts, $4::int, $5, $6, $7, $8, $9 from s on conflict do nothing returning number)
       ${answer(`select case when not exists (select from s) then 'aborted' when exists (select from p) then 'recorded' else 'repeated' end as outcome`)}`,
    );
    this.abortStatement = prepared(
      `with ${BOUNDED},
       s as (insert into ${choreography} as c (service, id, aborted_at, reason, updated_at) select $1, $2, ${now('$3')}, $4, ${now('$3')} from b
         on conflict (service, id) do update set aborted_at = excluded.aborted_at, reason = excluded.reason, updated_at = excluded.updated_at
           where c.aborted_at is null returning parts)
       ${answer('select count(*)::int as aborted from s')}`,
    );
  }

  async record(tx: Transaction, { sagaId, subscriptionId, message }: NewPart): Promise<PartOutcome> {
    const { source, id, type, attributes, body } = message;
    const { service, clock } = this.context;
    const statement = this.recordStatement(service, sagaId, clock.aheadOfDatabaseMs(), subscriptionId, source, id, type, attributes, body);
    const [row] = await inTurn<{ outcome: PartOutcome }>(sqlOf(tx), sagaId, statement);
    return row?.outcome ?? 'aborted';
  }

  async abort(tx: Transaction, { id, reason }: { readonly id: string; readonly reason: string }): Promise<Abort> {
    const { service, clock, tables } = this.context;
    const sql = sqlOf(tx);
    const [row] = await inTurn<{ aborted: number }>(sql, id, this.abortStatement(service, id, clock.aheadOfDatabaseMs(), reason));
    if (row?.aborted !== 1) return { isNew: false, parts: 0 };
    // Now that it has the saga: what was committed meanwhile is seen by a statement of its own.
    const { rows } = await sql.run<{ parts: number }>({
      text: `select count(*)::int as parts from ${tables.choreographyPart} where service = $1 and saga_id = $2`,
      values: [service, id],
    });
    await nextPart(sql, this.context, id);
    return { isNew: true, parts: rows[0]?.parts ?? 0 };
  }

  undone(tx: Transaction, sagaId: string): Promise<boolean> {
    return nextPart(sqlOf(tx), this.context, sagaId);
  }

  async trim(keptMs: number, limit: number): Promise<number> {
    const { pool, tables, service, clock } = this.context;
    const isOver = `service = $1 and undoing is null and updated_at < (select clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond')`;
    // Once more outside: of a saga that changes meanwhile the new row is looked at.
    const { rowCount } = await pool.run({
      text: `delete from ${tables.choreography} where ctid = any(array(select ctid from ${tables.choreography} where ${isOver} limit $4)) and ${isOver}`,
      values: [service, clock.aheadOfDatabaseMs(), keptMs, limit],
    });
    return rowCount;
  }
}
