import { randomUUID } from 'node:crypto';
import {
  type CursorKey,
  type CursorStore,
  emit,
  hfError,
  type IdRange,
  type Incoming,
  type Lease,
  type Position,
  readOn,
  type Taken,
  type Transaction,
  without,
} from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { CursorNotes } from './cursor-notes.js';
import { sessionName } from './node-store.js';
import { formatMultirange, parseMultirange } from './multirange.js';
import { prepared, type SqlRunner, type Statement } from './sql.js';
import { sqlOf } from './transaction-sql.js';

/** Rows looked at in one take, at most: a subscription of rare types passes over many rows at a time. */
const MAX_SCAN = 1000;

interface TakenRow {
  readonly position: string;
  readonly holes: string;
  readonly is_suspect: boolean;
  readonly dead: string;
  readonly has_stored: boolean;
  readonly id: string | null;
  readonly is_wanted: boolean;
  readonly type: string;
  readonly written_at: Date;
  readonly age_ms: number;
  readonly attributes: string;
  readonly body: Buffer;
}

interface Read extends Taken {
  readonly position: Position;
  /** Rows passed, wanted or not. */
  readonly count: number;
}

const NOTHING: Taken = { messages: [], hasMore: false, isMoved: false, isSuspect: false, hasStored: false };

/** Cursors in PostgreSQL: the lock on a cursor's row is the ownership, and its position commits with the handler's effect. */
export class PostgresCursorStore implements CursorStore {
  private readonly notes: CursorNotes;
  /** Rows to look at per take, grown while a subscription finds little of what it wants. */
  private readonly scans = new Map<string, number>();
  /** By number of rows: with it in the text PostgreSQL plans once per connection, with a parameter it plans at every take. */
  private readonly takeStatements = new Map<number, ReturnType<typeof prepared>>();
  private readonly moveStatement;
  private readonly finishStatement;

  constructor(private readonly context: PostgresContext) {
    this.notes = new CursorNotes(context);
    // What passes only rows that nobody here wants is not past what a process may have died of.
    const move = `update ${context.tables.cursor} set position = $3, holes = $4::int8multirange, owner_token = null, lease_until = null,
        moved_at = case when $5 then clock_timestamp() else moved_at end where subscription_id = $1 and lane = $2`;
    this.moveStatement = prepared(move);
    // Named, so that the transaction of a process that freezes now can be ended by others.
    this.finishStatement = prepared(`${move} and owner_token = $6::uuid and set_config('application_name', $7, true) is not null`);
  }

  async create(subscriptionId: number, from: 'now' | 'earliest'): Promise<void> {
    const t = this.context.tables;
    // FOR SHARE keeps the trimmer away until the cursor is there. One statement: highest id and what is missing below it in one snapshot.
    const start =
      from === 'earliest'
        ? `select l.trimmed_to as position, '{}'::int8multirange as holes`
        : `select coalesce(m.top, l.trimmed_to) as position, coalesce(m.missing, '{}'::int8multirange) - l.dead as holes`;
    const missing =
      from === 'earliest'
        ? ''
        : `left join lateral (
             select max(o.id) as top, int8multirange(int8range(l.trimmed_to, max(o.id), '(]')) - range_agg(int8range(o.id, o.id, '[]')) as missing
             from ${t.outbox} o where o.lane = l.lane and o.id > l.trimmed_to) m on true`;
    const { rows } = await this.context.pool.run<{ n: string }>({
      text: `select count(*) as n from ${t.cursor} where subscription_id = $1`,
      values: [subscriptionId],
    });
    if (Number(rows[0]?.n) === this.context.lanes) return;
    await this.context.pool.transaction(async (sql) => {
      await sql.run({ text: `select lane from ${t.lane} order by lane for share` });
      await sql.run({
        text: `insert into ${t.cursor} (subscription_id, lane, position, holes)
               select $1, l.lane, s.position, s.holes from ${t.lane} l ${missing} cross join lateral (${start}) s on conflict do nothing`,
        values: [subscriptionId],
      });
    });
  }

  news(subscriptionIds: readonly number[]): Promise<readonly CursorKey[]> {
    return this.notes.news(subscriptionIds);
  }

  refresh(cursors: readonly CursorKey[]): Promise<readonly CursorKey[]> {
    return this.notes.refresh(cursors);
  }

  async take(tx: Transaction, cursor: CursorKey, limit: number): Promise<Taken> {
    const sql = sqlOf(tx);
    const read = await this.read(sql, cursor, limit);
    if (read === undefined) return NOTHING;
    if (read.isMoved) await sql.runLast(this.moveOf(cursor, read));
    return read;
  }

  async lease(cursor: CursorKey, limit: number, ttlMs: number): Promise<Lease | undefined> {
    const token = randomUUID();
    return this.context.pool.transaction(async (sql) => {
      const read = await this.read(sql, cursor, limit);
      if (read === undefined) return undefined;
      if (read.messages.length === 0) {
        if (read.isMoved) await sql.run(this.moveOf(cursor, read));
        return undefined;
      }
      await this.keep(sql, cursor, { token, ttlMs, condition: 'true' });
      return new CursorLease(read, {
        renew: () => this.keep(this.context.pool, cursor, { token, ttlMs, condition: 'owner_token = $4::uuid' }),
        finish: (tx) => this.finish(tx, cursor, { token, read }),
        release: () => this.release(cursor, token),
      });
    });
  }

  private async read(sql: SqlRunner, cursor: CursorKey, limit: number): Promise<Read | undefined> {
    const id = `${cursor.subscriptionId}/${cursor.lane}`;
    // One more than wanted shows whether there is more.
    const scan = Math.max(limit, this.scans.get(id) ?? limit) + 1;
    const statement = this.takeStatement(scan);
    const { rows } = await sql.run<TakenRow>(statement(cursor.subscriptionId, cursor.lane, sessionName(this.context.nodeId)));
    const [first] = rows;
    if (first === undefined) return undefined;
    const isFull = rows.length >= scan;
    const read = this.choose(cursor, orderly(rows as [TakenRow, ...TakenRow[]], scan), limit);
    this.scans.set(id, isFull && read.messages.length < limit ? Math.min(MAX_SCAN, scan * 4) : scanFor(limit, read.count));
    if (read.isMoved) this.notes.forget(cursor);
    else this.notes.saw(cursor, read.position);
    return isFull ? { ...read, hasMore: true } : read;
  }

  private takeStatement(scan: number): ReturnType<typeof prepared> {
    const known = this.takeStatements.get(scan);
    if (known !== undefined) return known;
    const made = prepared(this.readSql(scan));
    this.takeStatements.set(scan, made);
    return made;
  }

  /** What of the rows is handed over, and where that leaves the cursor. */
  private choose(cursor: CursorKey, rows: readonly [TakenRow, ...TakenRow[]], limit: number): Read {
    const [first] = rows;
    const from: Position = { upTo: BigInt(first.position), holes: parseMultirange(first.holes) };
    const found = first.id === null ? [] : rows.map((row) => ({ row, id: BigInt(row.id as string) }));
    found.sort((a, b) => (a.id < b.id ? -1 : 1));
    const cut = cutAfter(found, limit);
    const dead: readonly IdRange[] = parseMultirange(first.dead);
    const { position, count } = readOn(
      from,
      found.slice(0, cut).map(({ id }) => id),
      dead,
    );
    tellHoles(cursor.lane, from, position);
    const messages = found
      .slice(0, count)
      .filter(({ row }) => row.is_wanted)
      .map(({ row }) => incoming(cursor.lane, row));
    const shared = { hasMore: count < found.length, isSuspect: first.is_suspect, hasStored: first.has_stored };
    return { messages, ...shared, position, count, isMoved: count > 0 };
  }

  private moveOf(cursor: CursorKey, read: Read): Statement {
    return this.moveStatement(...moveValues(cursor, read));
  }

  private async keep(
    sql: SqlRunner,
    cursor: CursorKey,
    { token, ttlMs, condition }: { readonly token: string; readonly ttlMs: number; readonly condition: string },
  ): Promise<void> {
    const { rowCount } = await sql.run({
      text: `update ${this.context.tables.cursor} set owner_token = $4::uuid, lease_until = clock_timestamp() + $3 * interval '1 millisecond'
             where subscription_id = $1 and lane = $2 and ${condition}`,
      values: [cursor.subscriptionId, cursor.lane, ttlMs, token],
    });
    if (rowCount === 0) throw hfError('HF_LEASE_LOST', { resource: `lane ${cursor.lane} of subscription ${cursor.subscriptionId}` });
  }

  private async finish(
    tx: Transaction | undefined,
    cursor: CursorKey,
    { token, read }: { readonly token: string; readonly read: Read },
  ): Promise<void> {
    const sql = tx === undefined ? this.context.pool : sqlOf(tx);
    const { rowCount } = await sql.run(this.finishStatement(...moveValues(cursor, read), token, sessionName(this.context.nodeId)));
    if (rowCount === 0) throw hfError('HF_LEASE_LOST', { resource: `lane ${cursor.lane} of subscription ${cursor.subscriptionId}` });
  }

  private async release(cursor: CursorKey, token: string): Promise<void> {
    await this.context.pool.run({
      text: `update ${this.context.tables.cursor} set owner_token = null, lease_until = null where subscription_id = $1 and lane = $2 and owner_token = $3`,
      values: [cursor.subscriptionId, cursor.lane, token],
    });
  }

  /**
   * Locks the cursor and reads on from it: holes that turned up and what is above, in one statement and so in one snapshot. Every snapshot
   * that shows a row shows the rows its transaction had to wait for, with smaller ids: that is the whole of the order promise.
   *
   * `limit 1`: a hole is looked up by its key. Without it PostgreSQL, which cannot know how few holes there are, reads the whole lane instead.
   */
  private readSql(scan: number): string {
    const t = this.context.tables;
    const row = `o.id, o.type = any(c.types) as is_wanted, o.type, o.written_at, (extract(epoch from clock_timestamp() - o.written_at) * 1000)::float8 as age_ms,
      case when o.type = any(c.types) then o.attributes end as attributes, case when o.type = any(c.types) then o.body end as body`;
    return `with c as materialized (
        select c.position, c.holes, s.last_death_at > c.moved_at as is_suspect, s.types
        from ${t.cursor} c join ${t.subscription} s on s.id = c.subscription_id
        where c.subscription_id = $1 and c.lane = $2 and s.state = 'active' and (c.lease_until is null or c.lease_until <= clock_timestamp())
        for update of c skip locked),
      n as materialized (select set_config('application_name', $3, true))
      select c.position, c.holes::text as holes, c.is_suspect, l.dead::text as dead,
        exists (select from ${t.delivery} d where d.subscription_id = $1) as has_stored, r.*
      from c cross join n
      cross join lateral (select l.dead * int8multirange(int8range(c.position, null, '()')) as dead from ${t.lane} l where l.lane = $2) l
      left join lateral (
        (select ${row} from unnest(c.holes) h cross join lateral generate_series(lower(h), upper(h) - 1) g(id)
           cross join lateral (select * from ${t.outbox} o where o.lane = $2 and o.id = g.id limit 1) o order by o.id limit ${scan})
        union all
        (select ${row} from ${t.outbox} o where o.lane = $2 and o.id > c.position order by o.id limit ${scan})
      ) r on true`;
  }
}

function moveValues({ subscriptionId, lane }: CursorKey, { position: { upTo, holes }, messages }: Read): readonly unknown[] {
  return [subscriptionId, lane, String(upTo), formatMultirange(holes), messages.length > 0];
}

/** So many that the next look sees what this one saw: whoever takes a message again finds it behind as many others. By fours, since each size is a statement. */
function scanFor(limit: number, rows: number): number {
  let scan = limit;
  while (scan < rows) scan *= 4;
  return scan;
}

function tellHoles(lane: number, from: Position, to: Position): void {
  if (to.holes === from.holes) return;
  for (const hole of without(to.holes, from.holes)) emit('lane:hole-found', { lane, from: hole.from, to: hole.to });
}

/** While more holes turned up than were read, nothing above the position may overtake those that are left. */
function orderly(rows: readonly [TakenRow, ...TakenRow[]], scan: number): readonly [TakenRow, ...TakenRow[]] {
  const [first] = rows;
  if (first.id === null) return rows;
  const turnedUp = rows.filter(({ id }) => BigInt(id as string) <= BigInt(first.position));
  return turnedUp.length >= scan ? (turnedUp as [TakenRow, ...TakenRow[]]) : rows;
}

/** How many of the rows to consume so that at most `limit` are wanted. */
function cutAfter(found: readonly { row: TakenRow }[], limit: number): number {
  let wanted = 0;
  for (const [index, { row }] of found.entries()) {
    if (!row.is_wanted) continue;
    if (wanted === limit) return index;
    wanted += 1;
  }
  return found.length;
}

function incoming(lane: number, row: TakenRow): Incoming {
  return {
    type: row.type,
    attributes: row.attributes,
    body: row.body,
    place: `${lane}/${row.id}`,
    lane,
    writtenAt: row.written_at,
    ageMs: row.age_ms,
    attempts: 0,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
  };
}

/** A cursor that is ours for a time. */
class CursorLease implements Lease {
  readonly messages: readonly Incoming[];
  readonly hasMore: boolean;
  readonly isMoved: boolean;
  readonly isSuspect: boolean;
  readonly hasStored: boolean;
  readonly renew: Lease['renew'];
  readonly finish: Lease['finish'];
  readonly release: Lease['release'];

  constructor(read: Taken, verbs: Pick<Lease, 'renew' | 'finish' | 'release'>) {
    this.messages = read.messages;
    this.hasMore = read.hasMore;
    this.isMoved = read.isMoved;
    this.isSuspect = read.isSuspect;
    this.hasStored = read.hasStored;
    this.renew = verbs.renew;
    this.finish = verbs.finish;
    this.release = verbs.release;
  }
}
