import {
  DEFAULT_TRANSPORT,
  hfError,
  laneOfSlot,
  type LogRow,
  type LogStats,
  type LogStore,
  type OperatorAction,
  type Stranded,
  type Transaction,
  type UnsentStats,
} from '@holdfast/core';
import { byTransport } from './by-lane.js';
import { placeOf } from './before-switch.js';
import type { PostgresContext } from '../context.js';
import { sequenceBehind } from './sequence-behind.js';
import { IS_DURABLE, prepared } from '../sql/sql.js';
import { SCOPE_OF_LANE } from './relay-scope.js';
import { discardIn, strandedIn } from './stranded.js';
import { sqlOf } from '../sql/transaction-sql.js';

interface StatsRow {
  readonly lane: number;
  readonly transport: string;
  readonly owner: string | null;
  readonly backlog: string;
  readonly oldest: number | null;
  readonly parked: string;
}

/** The outbox in PostgreSQL: rows numbered by one sequence per lane, written as the last statement of a unit. */
export class PostgresLogStore implements LogStore {
  private readonly appendOne;
  private readonly appendMany;
  private readonly schedule;
  private readonly lagStatement;
  private nextLane = 0;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    const columns = '(lane, id, type, key, attributes, body)';
    // An id that the lane has had before becomes null, which the table refuses: nobody has to look at the answer before COMMIT.
    this.appendOne = prepared(
      `insert into ${t.outbox} ${columns}
       values ($1, case when ${IS_DURABLE} then nullif(greatest(nextval($2::regclass), $7::bigint), $7::bigint) end, $3, $4, $5, $6)
       returning lane, id`,
    );
    this.appendMany = prepared(
      `with rows as (select r.*, nextval(${t.sequenceOf('r.lane')}) as id from unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[])
                with ordinality as r(lane, type, key, attributes, body, mark, n))
       insert into ${t.outbox} ${columns} select lane, case when id > mark and ${IS_DURABLE} then id end, type, key, attributes, body from rows
       returning lane, id`,
    );
    // Of each lane the first row behind its slowest reader, by the primary key: rows are not counted.
    this.lagStatement = prepared(
      `select extract(epoch from clock_timestamp() - min(w.at)) * 1000 as ms from (
       select min(o.written_at) as at
       from ${t.lane} l
       cross join lateral (select min(p) as low from (
         select ${placeOf(t)} as p from ${t.cursor} c join ${t.subscription} s on s.id = c.subscription_id where c.lane = l.lane and s.state <> 'retired' and s.service = $1
         union all select l.relay_position) readers(p)) r
       cross join lateral (select o.written_at from ${t.outbox} o where o.lane = l.lane and o.id > r.low order by o.id limit 1) o
       union all
       select min(registered_at) from ${t.halfMessage} where check_at <= clock_timestamp()) w`,
    );
    this.schedule = prepared(
      `insert into ${t.scheduled} (due_at, lane, type, key, attributes, body)
       select coalesce(r.at, clock_timestamp() + ($7 + r.delay_ms) * interval '1 millisecond'), r.lane, r.type, r.key, r.attributes, r.body
       from unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[], $8::float8[])
         as r(lane, type, key, attributes, body, at, delay_ms) where ${IS_DURABLE}`,
    );
  }

  get lanes(): number {
    return this.context.lanes;
  }

  lanesOf(transport: string): readonly number[] {
    const { firstLanes, lanes } = this.context;
    const first = firstLanes.get(transport) ?? 0;
    return Array.from({ length: lanes }, (_, lane) => first + lane);
  }

  stranded(transports: readonly string[]): Promise<readonly Stranded[]> {
    return strandedIn(this.context, transports);
  }

  discard(transport: string, action: OperatorAction): Promise<number> {
    return discardIn(this.context, transport, action);
  }

  async append(tx: Transaction, rows: readonly LogRow[]): Promise<readonly number[]> {
    const now = rows.filter((row) => row.due === undefined);
    if (now.length < rows.length)
      await this.appendScheduled(
        tx,
        rows.filter((row) => row.due !== undefined),
      );
    return now.length > 0 ? await this.appendNow(tx, now) : [];
  }

  async lagMs(): Promise<number> {
    const { rows } = await this.context.pool.run<{ ms: number | null }>(this.lagStatement(this.context.service));
    return Math.max(0, Math.round(Number(rows[0]?.ms ?? 0)));
  }

  async stats(): Promise<LogStats> {
    const t = this.context.tables;
    const { rows } = await this.context.pool.run<StatsRow>({
      text: `select l.lane, l.transport, o.node_id as owner, b.backlog, b.oldest, (select count(*) from ${t.parked} p where p.lane = l.lane) as parked
             from ${t.lane} l
             left join ${t.lease} o on o.scope = ${SCOPE_OF_LANE} and o.part = l.lane and o.lease_until >= now()
             cross join lateral (select min(p) as low from (
               select ${placeOf(t)} as p from ${t.cursor} c join ${t.subscription} s on s.id = c.subscription_id where c.lane = l.lane and s.state <> 'retired'
               union all select l.relay_position) readers(p)) r
             cross join lateral (select count(*) as backlog, extract(epoch from clock_timestamp() - min(o.written_at)) * 1000 as oldest
               from ${t.outbox} o where o.lane = l.lane and o.id > r.low) b
             order by l.lane`,
    });
    const counts = await this.context.pool.run<{ scheduled: string; half: string; half_age: number | null }>({
      text: `select (select count(*) from ${t.scheduled}) as scheduled, h.half, h.half_age
             from (select count(*) as half, extract(epoch from clock_timestamp() - min(registered_at)) * 1000 as half_age from ${t.halfMessage}) h`,
    });
    return {
      ...unsentIn(rows),
      scheduled: Number(counts.rows[0]?.scheduled),
      halfMessages: Number(counts.rows[0]?.half),
      oldestHalfMessageAgeMs: Math.max(0, Math.round(Number(counts.rows[0]?.half_age ?? 0))),
      transports: [...byTransport(rows)].map(([transport, own]) => ({ transport, ...unsentIn(own) })),
      lanes: rows.map(({ lane, transport, owner, backlog }) => ({ lane, transport, owner: owner ?? undefined, backlog: Number(backlog) })),
    };
  }

  private async appendNow(tx: Transaction, rows: readonly LogRow[]): Promise<readonly number[]> {
    const lanes = this.lanesFor(rows);
    const marks = lanes.map((lane) => this.context.marks.of(lane));
    const [row] = rows as [LogRow];
    const sequence = this.context.tables.sequence(lanes[0] as number);
    const statement =
      rows.length === 1
        ? this.appendOne(lanes[0], sequence, row.type, row.key, row.attributes, row.body, marks[0])
        : this.appendMany(lanes, ...columnsOf(rows), marks);
    // Spelled out: spreading a statement costs as much as making it.
    await sqlOf(tx).runLast({
      name: statement.name,
      text: statement.text,
      values: statement.values,
      answered: ([lane, id]) => this.context.marks.given(Number(lane), BigInt(id as string)),
      refusal: (error) => sequenceBehind(this.context, error, lanes),
    });
    return lanes;
  }

  private async appendScheduled(tx: Transaction, rows: readonly LogRow[]): Promise<void> {
    const at = rows.map(({ due }) => (due && 'at' in due ? due.at : null));
    const delayMs = rows.map(({ due }) => (due && 'delayMs' in due ? due.delayMs : 0));
    await sqlOf(tx).run(this.schedule(this.lanesFor(rows), ...columnsOf(rows), at, this.context.clock.aheadOfDatabaseMs(), delayMs));
  }

  /** The default transport's are the first; of one whose lanes this process does not know nothing may be written, wherever it is. */
  private firstLaneOf(transport: string | undefined): number {
    if (transport === undefined || transport === DEFAULT_TRANSPORT) return 0;
    const first = this.context.firstLanes.get(transport);
    if (first === undefined) throw hfError('HF_INVARIANT', { fact: `a message for the transport ${transport}, which has no lanes` });
    return first;
  }

  /** A key's lane is fixed by its slot, for each transport; messages without a key share one lane per unit, another each time. */
  private lanesFor(rows: readonly LogRow[]): number[] {
    const { lanes } = this.context;
    this.nextLane = (this.nextLane + 1) % lanes;
    return rows.map(({ slot, transport }) => this.firstLaneOf(transport) + (slot === undefined ? this.nextLane : laneOfSlot(slot, lanes)));
  }
}

function unsentIn(rows: readonly StatsRow[]): UnsentStats {
  return {
    backlog: rows.reduce((sum, row) => sum + Number(row.backlog), 0),
    oldestAgeMs: Math.max(0, ...rows.map((row) => Math.round(Number(row.oldest ?? 0)))),
    parked: rows.reduce((sum, row) => sum + Number(row.parked), 0),
  };
}

function columnsOf(rows: readonly LogRow[]): [string[], (string | null)[], string[], Uint8Array[]] {
  return [rows.map((row) => row.type), rows.map((row) => row.key ?? null), rows.map((row) => row.attributes), rows.map((row) => row.body)];
}
