import { emit, failpoint, type LogUpkeep, type MovedRows } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { lock } from '../sql/advisory-lock.js';
import { Fence } from './fence.js';
import { raiseSequence } from './raise-sequence.js';
import { BY_INDEX, IS_DURABLE, prepared, type SqlRunner } from '../sql/sql.js';
import { drawingIds } from './sequence-behind.js';

/** Rows deleted per lane and pass, at most: a trim must never hold locks for long. */
const TRIM_BATCH = 1000;

/** House-keeping of the log in PostgreSQL. What several nodes must not do at once is guarded by transaction-level advisory locks, which every pooler keeps. */
export class PostgresLogUpkeep implements LogUpkeep {
  private readonly fences: Fence;
  private readonly moveStatement;
  private readonly nextDueStatement;
  private readonly reachedStatement;

  constructor(private readonly context: PostgresContext) {
    this.fences = new Fence(context);
    const t = context.tables;
    const now = `(clock_timestamp() + $2 * interval '1 millisecond')`;
    this.moveStatement = prepared(
      `with due as (select id from ${t.scheduled} where due_at <= (select ${now}) order by due_at, id limit $1 for update skip locked),
       gone as (delete from ${t.scheduled} s using due where s.id = due.id and ${IS_DURABLE} returning s.*)
       insert into ${t.outbox} (lane, id, type, key, attributes, body)
       select n.lane, case when n.id > coalesce(m.id, 0) then n.id end, type, key, attributes, body
       from (select lane, nextval(${t.sequenceOf('lane')}) as id, type, key, attributes, body from (select * from gone order by due_at, id) ordered) n
       left join unnest($3::smallint[], $4::bigint[]) m(lane, id) on m.lane = n.lane
       returning lane`,
    );
    this.nextDueStatement = prepared(
      `select (extract(epoch from min(due_at) - clock_timestamp()) * 1000)::float8 as ms from ${t.scheduled}`,
    );
    this.reachedStatement = prepared(
      `select l.lane, greatest(c.top, l.relay_position, l.trimmed_to, o.id) as reached, coalesce(pg_sequence_last_value(${t.sequenceOf('l.lane')}), 0) as last,
         l.relay_position = l.log_end is true as is_switching
       from ${t.lane} l left join (select lane, max(position) as top from ${t.cursor} group by lane) c on c.lane = l.lane
       left join lateral (select id from ${t.outbox} where lane = l.lane order by id desc limit 1) o on true`,
    );
  }

  fence(): Promise<number> {
    return this.fences.run();
  }

  async moveScheduled(limit: number): Promise<MovedRows> {
    const ahead = this.context.clock.aheadOfDatabaseMs();
    const next = await this.nextDue(ahead);
    if (next === undefined || next > 0) return { moved: 0, lanes: [], nextDueMs: next };
    const move = async (sql: SqlRunner) => {
      if (!(await lock(sql, `${this.context.tables.scheduled}`))) return undefined;
      const moving = () => sql.run<{ lane: number }>(this.moveStatement(limit, ahead, ...this.context.marks.columns()));
      const { rows } = await drawingIds(this.context, moving);
      failpoint('scheduled:after-move');
      return rows.map(({ lane }) => lane);
    };
    const moved = await this.context.pool.transaction(move, { settings: BY_INDEX });
    // Another process moves them. What is due would be due for us at once again, and again, until it is done.
    if (moved === undefined) return { moved: 0, lanes: [], nextDueMs: undefined };
    return { moved: moved.length, lanes: [...new Set(moved)], nextDueMs: await this.nextDue(ahead) };
  }

  async trim(retentionMs: number): Promise<number> {
    let trimmed = 0;
    // Also those of transports that this process does not have.
    const { rows } = await this.context.pool.run<{ lane: number }>({ text: `select lane from ${this.context.tables.lane} order by lane` });
    for (const { lane } of rows) trimmed += await this.trimLane(lane, retentionMs);
    return trimmed;
  }

  async raiseSequences(): Promise<readonly { lane: number; from: bigint; to: bigint }[]> {
    const { rows } = await this.context.pool.run<{ lane: number; reached: string; last: string; is_switching: boolean }>(
      this.reachedStatement(),
    );
    const behind = rows.filter(({ last, reached }) => BigInt(last) < BigInt(reached));
    const [switching, lost] = [behind.filter((row) => row.is_switching), behind.filter((row) => !row.is_switching)];
    // A switch was cut short: here the smaller ids are right until the sequence is raised.
    for (const { lane, reached } of switching) await raiseSequence(this.context, lane, reached);
    // Else first of all: from now on writers of this process are safe, also before the sequences are.
    for (const { lane, reached } of rows) this.context.marks.reached(lane, BigInt(reached));
    for (const { lane, reached } of lost) await raiseSequence(this.context, lane, reached);
    return lost.map(({ lane, last, reached }) => ({ lane, from: BigInt(last), to: BigInt(reached) }));
  }

  /** The lane's row is locked for update, so that no cursor is made at a place whose rows are going. */
  private trimLane(lane: number, retentionMs: number): Promise<number> {
    const t = this.context.tables;
    const before = `clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond'`;
    return this.context.pool.transaction(async (sql) => {
      const { rows: locked } = await sql.run({ text: `select from ${t.lane} where lane = $1 for update skip locked`, values: [lane] });
      if (locked.length === 0) return 0;
      const { rows } = await sql.run<{ upto: string | null }>({
        text: `select max(o.id) as upto from (
                 select o.id, bool_and(o.written_at < ${before}) over (order by o.id) as is_old from (
                   select o.id, o.written_at from ${t.outbox} o, ${t.lane} l,
                     lateral (select min(least(c.position, coalesce(lower(c.holes) - 1, c.position))) as low
                              from ${t.cursor} c join ${t.subscription} s on s.id = c.subscription_id where c.lane = $1 and s.state <> 'retired') cursors
                   where l.lane = $1 and o.lane = $1 and o.id > l.trimmed_to
                     and o.id <= coalesce(cursors.low, o.id)
                     and o.id <= coalesce(least(l.relay_position, lower(l.relay_holes) - 1), o.id)
                   order by o.id limit ${TRIM_BATCH}) o) o
               where o.is_old`,
        values: [lane, this.context.clock.aheadOfDatabaseMs(), retentionMs],
      });
      const upTo = rows[0]?.upto;
      if (upTo === null || upTo === undefined) return 0;
      const { rowCount } = await sql.run({
        text: `delete from ${t.outbox} o using ${t.lane} l where l.lane = $1 and o.lane = $1 and o.id > l.trimmed_to and o.id <= $2`,
        values: [lane, upTo],
      });
      await sql.run({
        text: `update ${t.lane} set trimmed_to = $2, dead = dead - int8multirange(int8range(null, $2, '(]')) where lane = $1`,
        values: [lane, upTo],
      });
      failpoint('trim:after-delete');
      emit('lane:trimmed', () => ({ lane, count: rowCount, trimmedTo: BigInt(upTo) }));
      return rowCount;
    });
  }

  private async nextDue(aheadMs: number): Promise<number | undefined> {
    const { rows } = await this.context.pool.run<{ ms: number | null }>(this.nextDueStatement());
    const ms = rows[0]?.ms;
    return ms === null || ms === undefined ? undefined : Math.max(0, Math.ceil(ms - aheadMs));
  }
}
