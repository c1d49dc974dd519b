import { type IdRange, type Incoming, type Position, readOn, type RelayBatch, type RelayStore } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { formatMultirange, parseMultirange } from './multirange.js';
import { prepared } from './sql.js';

interface RelayRow {
  readonly lane: number;
  readonly position: string;
  readonly holes: string;
  readonly dead: string;
  readonly id: string;
  readonly type: string;
  readonly written_at: Date;
  readonly attributes: string;
  readonly body: Buffer;
}

/** The relay's place in each lane, in the lane's own row, moved by compare-and-set. */
export class PostgresRelayStore implements RelayStore {
  private readonly readStatement;
  private readonly advanceStatement;
  private hasPlaces = false;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    const row = 'o.id, o.type, o.written_at, o.attributes, o.body';
    this.readStatement = prepared(
      `select l.lane, coalesce(l.relay_position, l.trimmed_to) as position, l.relay_holes::text as holes,
         (l.dead * int8multirange(int8range(coalesce(l.relay_position, l.trimmed_to), null, '()')))::text as dead, r.*
       from ${t.lane} l cross join lateral (
         (select ${row} from unnest(l.relay_holes) h cross join lateral generate_series(lower(h), upper(h) - 1) g(id)
            join ${t.outbox} o on o.lane = l.lane and o.id = g.id order by o.id limit $1)
         union all
         (select ${row} from ${t.outbox} o where o.lane = l.lane and o.id > coalesce(l.relay_position, l.trimmed_to) order by o.id limit $1)) r
       order by l.lane, r.id limit $2`,
    );
    this.advanceStatement = prepared(
      `update ${t.lane} set relay_position = $4, relay_holes = $5::int8multirange
       where lane = $1 and coalesce(relay_position, trimmed_to) = $2 and relay_holes = $3::int8multirange`,
    );
  }

  async read(limit: number): Promise<readonly RelayBatch[]> {
    if (!this.hasPlaces) await this.takePlaces();
    const perLane = Math.ceil(limit / 4);
    const { rows } = await this.context.pool.run<RelayRow>(this.readStatement(perLane, limit));
    const lanes = new Map<number, RelayRow[]>();
    for (const row of rows) lanes.set(row.lane, [...(lanes.get(row.lane) ?? []), row]);
    return [...lanes.values()].map((rowsOfLane) => batchOf(rowsOfLane, perLane));
  }

  async advance(batch: RelayBatch, count: number): Promise<boolean> {
    const { position } = readOn(
      batch.from,
      batch.rows.slice(0, count).map(({ id }) => id),
      batch.dead,
    );
    const { rowCount } = await this.context.pool.run(
      this.advanceStatement(
        batch.lane,
        batch.from.upTo,
        formatMultirange(batch.from.holes),
        position.upTo,
        formatMultirange(position.holes),
      ),
    );
    // Somebody else moved it, or the database is not the one it was.
    if (rowCount === 0) this.hasPlaces = false;
    return rowCount === 1;
  }

  /** A relay that is there counts as a reader, also before it has sent anything: what it has not sent must not be trimmed. */
  private async takePlaces(): Promise<void> {
    await this.context.pool.run({
      text: `update ${this.context.tables.lane} set relay_position = trimmed_to where relay_position is null`,
    });
    this.hasPlaces = true;
  }
}

function batchOf(read: readonly RelayRow[], perLane: number): RelayBatch {
  const [first] = read as [RelayRow];
  // While more holes turned up than were read, nothing above the position may overtake those that are left.
  const turnedUp = read.filter(({ id }) => BigInt(id) <= BigInt(first.position));
  const rows = turnedUp.length >= perLane ? turnedUp : read;
  const ids = rows.map(({ id }) => BigInt(id));
  const from: Position = { upTo: BigInt(first.position), holes: parseMultirange(first.holes) };
  const dead: readonly IdRange[] = parseMultirange(first.dead);
  const { count } = readOn(from, ids, dead);
  return { lane: first.lane, from, dead, rows: rows.slice(0, count).map((row, index) => ({ ...incoming(row), id: ids[index] as bigint })) };
}

function incoming(row: RelayRow): Incoming {
  const { lane, id, type, attributes, body, written_at } = row;
  const place = `${lane}/${id}`;
  return {
    type,
    attributes,
    body,
    place,
    lane,
    writtenAt: written_at,
    attempts: 0,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
  };
}
