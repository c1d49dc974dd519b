import {
  type IdRange,
  type Parking,
  type Position,
  type Progress,
  type ReadBound,
  readOn,
  type RelayBatch,
  type RelayRow,
  type RelayStore,
  without,
} from '@holdfast/core';
import { byLane } from './by-lane.js';
import type { PostgresContext } from '../context.js';
import { Gathered } from '../sql/gathered.js';
import { formatMultirange, parseMultirange } from '../sql/multirange.js';
import { IS_DEFAULT, SCOPE_OF_LANE } from './relay-scope.js';
import { LIFE } from '../server-life.js';
import { prepared, STATEMENT_MS, type Statement } from '../sql/sql.js';

/** Parked messages of a lane after which the lane waits for them. */
const MAX_PARKED = 1000;

interface LogRow {
  readonly lane: number;
  readonly life: string;
  readonly position: string;
  readonly holes: string;
  readonly dead: string;
  readonly is_full: boolean;
  readonly id: string;
  readonly type: string;
  readonly key: string | null;
  readonly is_behind: boolean;
  readonly written_at: Date;
  readonly attributes: string;
  readonly body: Buffer;
}

/** What moves a lane: its number, the place it is at, with its holes, and the place it comes to. */
type Step = readonly [
  lane: number,
  position: bigint,
  holes: string,
  upTo: bigint,
  filled: string,
  ownerToken: string,
  life: string,
  gaps: string,
];

/** The relay's place in each lane, in the lane's own row, moved by compare-and-set and by its owner only. */
export class PostgresRelayStore implements RelayStore {
  private readonly readStatement;
  private readonly togetherStatement;
  private readonly aloneStatement;
  private readonly parkStatement;
  private readonly steps = new Gathered<Step, boolean>((steps) => this.together(steps));
  private hasPlaces = false;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    const row = 'o.id, o.type, o.key, o.written_at, o.attributes, o.body, octet_length(o.attributes) + octet_length(o.body) as size';
    this.readStatement = prepared(
      // Cut in the order of the ids: what is above a hole must not overtake it.
      `select lane, life, position, holes, dead, is_full, is_behind, id, type, key, written_at, attributes, body
       from (select l.lane, ${LIFE} as life, coalesce(l.relay_position, l.trimmed_to) as position, l.relay_holes::text as holes,
         (l.dead * int8multirange(int8range(coalesce(l.relay_position, l.trimmed_to), null, '()')))::text as dead, f.is_full,
         f.has_parked and r.key is not null and (select true from ${t.parked} p where p.lane = l.lane and p.key = r.key limit 1) is not null as is_behind, r.*,
         sum(r.size) over (partition by l.lane order by r.id rows unbounded preceding) as total
       from ${t.lane} l
       cross join lateral (select exists (select from ${t.parked} p where p.lane = l.lane) as has_parked,
         exists (select from ${t.parked} p where p.lane = l.lane offset ${MAX_PARKED - 1}) as is_full offset 0) f
       cross join lateral (
         (select h.* from unnest(l.relay_holes) hole cross join lateral (
            select ${row} from ${t.outbox} o where o.lane = l.lane and o.id >= lower(hole) and o.id < upper(hole) order by o.id limit $1) h order by h.id limit $1)
         union all
         (select ${row} from ${t.outbox} o where o.lane = l.lane and o.id > coalesce(l.relay_position, l.trimmed_to) order by o.id limit $1)) r
       where l.lane = any($2::smallint[])) c
       where total <= $3 or total = size
       order by lane, id`,
    );
    // Holes are taken out and put in, not written, and there may be fewer than were read: the fence may have written some off meanwhile.
    const advance = (
      lock: string,
    ) => `update ${t.lane} l set relay_position = s.up_to, relay_holes = l.relay_holes - s.filled::int8multirange + s.gaps::int8multirange
       from (select * from unnest($1::smallint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::uuid[], $7::text[], $8::text[])
           with ordinality s(lane, position, holes, up_to, filled, owner_token, life, gaps, n)
         where lane in (select lane from ${t.lane} where lane = any($1::smallint[]) for no key update ${lock})) s
       where l.lane = s.lane and coalesce(l.relay_position, l.trimmed_to) = s.position and l.relay_holes <@ s.holes::int8multirange
         and s.holes::int8multirange - l.relay_holes <@ l.dead and l.relay_holes @> s.filled::int8multirange
         and exists (select from ${t.lease} where scope = ${SCOPE_OF_LANE} and part = s.lane and owner_token = s.owner_token) and ${LIFE} = s.life
       returning l.lane, s.n::int as n`;
    this.togetherStatement = prepared(advance('skip locked'));
    this.aloneStatement = prepared(advance(''));
    // In id order: what follows in a key has the larger number here too.
    this.parkStatement = prepared(
      `with moved as (${advance('')})
       insert into ${t.parked} (lane, row_id, written_at, type, key, attributes, body, reason, error, next_attempt_at)
       select o.lane, o.id, o.written_at, o.type, o.key, o.attributes, o.body, r.reason, r.error, clock_timestamp() + ($13 + r.delay_ms) * interval '1 millisecond'
       from moved cross join unnest($9::bigint[], $10::text[], $11::text[], $12::float8[]) r(id, reason, error, delay_ms)
         join ${t.outbox} o on o.lane = moved.lane and o.id = r.id
       order by o.id`,
    );
  }

  async read(lanes: readonly number[], perLane: ReadBound): Promise<readonly RelayBatch[]> {
    if (!this.hasPlaces && lanes.some((lane) => lane < this.context.lanes)) await this.takePlaces();
    const { rows } = await this.context.pool.run<LogRow>(this.readStatement(perLane.rows, lanes, perLane.bytes));
    return [...byLane(rows).values()].map((rowsOfLane) => batchOf(rowsOfLane, perLane.rows));
  }

  async advance(batch: RelayBatch, { count, parked, ownerToken }: Progress): Promise<boolean> {
    const { position } = readOn(
      batch.from,
      batch.rows.slice(0, count).map(({ id }) => id),
      batch.dead,
    );
    const { upTo, holes } = batch.from;
    const filled = formatMultirange(without(holes, position.holes));
    const gaps = formatMultirange(without(position.holes, holes));
    const step: Step = [batch.lane, upTo, formatMultirange(holes), position.upTo, filled, ownerToken, batch.life, gaps];
    const isMoved = parked.length === 0 ? (await this.steps.run(step)) || (await this.alone(step)) : await this.park(step, parked);
    // Somebody else moved it, or the database is not the one it was.
    if (!isMoved) this.hasPlaces = false;
    return isMoved;
  }

  /** Those that can be moved at once: a lane whose row somebody has in work must not keep the others waiting, nor their rows locked meanwhile. */
  private async together(steps: readonly Step[]): Promise<readonly boolean[]> {
    const { rows } = await this.context.pool.run<{ n: number }>(this.togetherStatement(...columnsOf(steps)));
    const moved = new Set(rows.map(({ n }) => n));
    return steps.map((_, place) => moved.has(place + 1));
  }

  /** Waits for whoever has the lane's row in work. */
  private async alone(step: Step): Promise<boolean> {
    return this.waiting(this.aloneStatement(...columnsOf([step])));
  }

  private async park(step: Step, parked: readonly Parking[]): Promise<boolean> {
    const parking = [
      parked.map(({ id }) => id),
      parked.map(({ reason }) => reason),
      parked.map(({ error }) => error ?? null),
      parked.map(({ delayMs }) => delayMs ?? null),
      this.context.clock.aheadOfDatabaseMs(),
    ];
    return this.waiting(this.parkStatement(...columnsOf([step]), ...parking));
  }

  /** In a transaction, which the server ends when the wait is given up here: the next turn waits for the same row. */
  private async waiting(statement: Statement): Promise<boolean> {
    const { rowCount } = await this.context.pool.transaction((sql) => sql.run(statement), { statementMs: STATEMENT_MS });
    return rowCount > 0;
  }

  /** A relay of the default transport counts as a reader from when it is there, also before it has sent anything: what it has not sent must not be trimmed. */
  private async takePlaces(): Promise<void> {
    await this.context.pool.run({
      text: `update ${this.context.tables.lane} set relay_position = trimmed_to where relay_position is null and ${IS_DEFAULT}`,
    });
    this.hasPlaces = true;
  }
}

function batchOf(read: readonly LogRow[], perLane: number): RelayBatch {
  const [first] = read as [LogRow];
  // While more holes turned up than were read, nothing above the position may overtake those that are left.
  const turnedUp = read.filter(({ id }) => BigInt(id) <= BigInt(first.position));
  const rows = turnedUp.length >= perLane ? turnedUp : read;
  const ids = rows.map(({ id }) => BigInt(id));
  const from: Position = { upTo: BigInt(first.position), holes: parseMultirange(first.holes) };
  const dead: readonly IdRange[] = parseMultirange(first.dead);
  const { count } = readOn(from, ids, dead);
  return { lane: first.lane, life: first.life, from, dead, isParkingFull: first.is_full, rows: rows.slice(0, count).map(relayRow) };
}

function relayRow({ lane, id, type, key, is_behind, attributes, body, written_at }: LogRow): RelayRow {
  return {
    id: BigInt(id),
    type,
    key: key ?? undefined,
    isBehindParked: is_behind,
    attributes,
    body,
    place: `${lane}/${id}`,
    lane,
    writtenAt: written_at,
    attempts: 0,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
  };
}

/** Steps as the columns of `unnest`. */
function columnsOf(steps: readonly Step[]): readonly (readonly unknown[])[] {
  return (steps[0] as Step).map((_, column) => steps.map((step) => step[column]));
}
