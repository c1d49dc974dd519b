import { randomUUID } from 'node:crypto';
import { type CursorKey, type CursorStore, emit, hfError, type Incoming, type Lease, type Taken, type Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { BEFORE_SWITCH } from './before-switch.js';
import { CursorNotes } from './cursor-notes.js';
import { type LaneSight, type Read, readFrom, type SeenRow, sightOf } from './lane-sight.js';
import { typesOf } from '../delivery/taken-types.js';
import { sessionName } from '../node-store.js';
import { IS_DEFAULT } from './relay-scope.js';
import { formatMultirange } from '../sql/multirange.js';
import { ReadAhead } from './read-ahead.js';
import { prepared, type SqlRunner, type Statement } from '../sql/sql.js';
import { type SqlTransaction, sqlOf } from '../sql/transaction-sql.js';

/** What the server says, in its log too, when a cursor is not where this process left it. */
const MOVED_ON = 'holdfast: another process reads this lane now, it is looked at again';

/** A claim this old at the commit is not taken for its time: a process may have died meanwhile, somewhere else. */
const OLD_CLAIM_MS = 100;

/** A cursor that may be taken. */
const IS_FREE = `s.state = 'active' and (c.lease_until is null or c.lease_until <= clock_timestamp())`;

/** A process may have died of what comes next. A cursor that was moved at a time still to come was so before the clock was set back: nobody knows what came first. */
const IS_SUSPECT = `(s.last_death_at > c.moved_at or c.moved_at > clock_timestamp() and s.last_death_at > '-infinity')`;

const NOTHING: Taken = { messages: [], hasMore: false, isMoved: false, isSuspect: false, hasStored: false };

/** Cursors in PostgreSQL: the lock on a cursor's row is the ownership, and its position commits with the handler's effect. */
export class PostgresCursorStore implements CursorStore {
  private readonly notes: CursorNotes;
  private readonly ahead = new ReadAhead();
  /** By number of rows: with it in the text PostgreSQL plans once per connection, with a parameter it plans at every take. */
  private readonly takeStatements = new Map<number, ReturnType<typeof prepared>>();
  private readonly claimStatement;
  private readonly moveStatement;
  private readonly finishStatement;
  private readonly touchStatement;

  constructor(private readonly context: PostgresContext) {
    this.notes = new CursorNotes(context);
    // `moved_at` stays when only unwanted rows were passed: what a process may have died of is still ahead, so the cursor stays suspect.
    // Holes are taken out and put in, not written: the fence may have written some off meanwhile.
    const move = `update ${context.tables.cursor} set position = $3, holes = holes - $4::int8multirange + $5::int8multirange, owner_token = null,
        lease_until = null, moved_at = case when $6 then clock_timestamp() else moved_at end where subscription_id = $1 and lane = $2`;
    this.moveStatement = prepared(move);
    // Named, so that the transaction of a process that freezes now can be ended by others.
    this.finishStatement = prepared(`${move} and owner_token = $7::uuid and set_config('application_name', $8, true) is not null`);
    this.touchStatement = prepared(
      `update ${context.tables.cursor} set moved_at = clock_timestamp() where subscription_id = $1 and lane = $2`,
    );
    // Claim and move in one: whatever is not as it was left makes the statement fail instead of waiting or doing nothing, so that what travels behind it is
    // not run. Holes of one position only become fewer: with more of them the server has lost a move that was committed. Whoever has the row now is its xmax;
    // whoever made this version of it has left himself there when he had locked it before.
    this.claimStatement = prepared(
      `update ${context.tables.cursor} c set position = (case
           when (c.xmax = '0'::xid or c.xmax = c.xmin) and c.position = $3 and c.holes @> $5::int8multirange and c.holes <@ $7::int8multirange
             and (select ${IS_FREE} and ${IS_SUSPECT} is not true from ${context.tables.subscription} s where s.id = c.subscription_id)
             and set_config('application_name', $8, true) is not null
           then $4 else '${MOVED_ON}' end)::bigint,
         holes = c.holes - $5::int8multirange + $6::int8multirange, owner_token = null, lease_until = null, moved_at = clock_timestamp()
       where c.subscription_id = $1 and c.lane = $2
       returning exists (select from ${context.tables.delivery} d where d.subscription_id = $1)::int`,
    );
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
      await sql.run({ text: `select lane from ${t.lane} where ${IS_DEFAULT} order by lane for share` });
      await sql.run({
        text: `insert into ${t.cursor} (subscription_id, lane, position, holes)
               select $1, l.lane, s.position, s.holes from ${t.lane} l ${missing} cross join lateral (${start}) s where l.${IS_DEFAULT} on conflict do nothing`,
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
    const known = this.ahead.use(cursor, this.context.clock.monotonicMs());
    const ahead = known && this.readOf(cursor, known, limit);
    if (known !== undefined && ahead !== undefined && ahead.messages.length > 0)
      return this.claim(sql, cursor, { known, read: ahead, limit });
    const read = await this.read(sql, cursor, limit);
    if (read?.isMoved) await sql.runLast({ ...this.moveOf(cursor, read), committed: () => this.moved(cursor, read, limit) });
    return read ?? NOTHING;
  }

  /** A statement of its own: the snapshot of the one that reads on has to be taken after the wait. */
  async lock(tx: Transaction, { subscriptionId, lane }: CursorKey): Promise<void> {
    await sqlOf(tx).run({
      text: `select set_config('application_name', $3, true) from ${this.context.tables.cursor} where subscription_id = $1 and lane = $2 for update`,
      values: [subscriptionId, lane, sessionName(this.context.nodeId)],
    });
  }

  private moved(cursor: CursorKey, read: Read, limit: number): void {
    tellGaps(cursor, read);
    this.ahead.keep(cursor, read.rest, limit);
  }

  /** What was read ahead says nothing of what came since: there may be more, and there may be stored deliveries now. */
  private async claim(
    sql: SqlTransaction,
    cursor: CursorKey,
    { known, read, limit }: { readonly known: LaneSight; readonly read: Read; readonly limit: number },
  ): Promise<Taken> {
    const { subscriptionId, lane } = cursor;
    const [from, to] = [String(known.from.upTo), String(read.position.upTo)];
    const holes = [read.filled, read.gaps, known.from.holes].map(formatMultirange);
    let stored: string | null | undefined;
    await sql.runFirst({
      ...this.claimStatement(subscriptionId, lane, from, to, ...holes, sessionName(this.context.nodeId)),
      answered: ([answer]) => {
        stored = answer;
      },
      refusal: (error) => movedOn(cursor, error),
      committed: () => this.moved(cursor, read, limit),
    });
    const { clock } = this.context;
    const claimedMs = clock.monotonicMs();
    await sql.runLast({ ...this.touchStatement(subscriptionId, lane), isNeeded: () => clock.monotonicMs() - claimedMs > OLD_CLAIM_MS });
    return {
      messages: read.messages,
      isMoved: true,
      hasMore: true,
      isSuspect: false,
      get hasStored() {
        return stored === '1';
      },
      confirm: async () => {
        await sql.flush();
        // No row, no answer: the subscription was retired.
        if (stored === undefined) throw lost(cursor);
      },
    };
  }

  async lease(cursor: CursorKey, limit: number, ttlMs: number): Promise<Lease | undefined> {
    const token = randomUUID();
    this.ahead.drop(cursor);
    return this.context.pool.transaction(async (sql) => {
      const read = await this.read(sql, cursor, limit);
      if (read === undefined) return undefined;
      if (read.messages.length === 0) {
        if (read.isMoved) await sql.run(this.moveOf(cursor, read));
        tellGaps(cursor, read);
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
    const scan = this.ahead.scanOf(cursor, limit);
    const seenMs = this.context.clock.monotonicMs();
    const statement = this.takeStatement(scan);
    const { rows } = await sql.run<SeenRow>(statement(cursor.subscriptionId, cursor.lane, sessionName(this.context.nodeId)));
    const sight = sightOf(rows, { lane: cursor.lane, scan, seenMs });
    if (sight === undefined) return undefined;
    const read = this.readOf(cursor, sight, limit);
    this.ahead.looked(cursor, { scan, limit, sight, read });
    return read;
  }

  private readOf(cursor: CursorKey, sight: LaneSight, limit: number): Read {
    const read = readFrom(sight, limit, this.context.clock.monotonicMs());
    if (read.isMoved) this.notes.forget(cursor);
    else this.notes.saw(cursor, read.position);
    return read;
  }

  private takeStatement(scan: number): ReturnType<typeof prepared> {
    const known = this.takeStatements.get(scan);
    if (known !== undefined) return known;
    const made = prepared(this.readSql(scan));
    this.takeStatements.set(scan, made);
    return made;
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
    if (rowCount === 0) throw lost(cursor);
  }

  private async finish(
    tx: Transaction | undefined,
    cursor: CursorKey,
    { token, read }: { readonly token: string; readonly read: Read },
  ): Promise<void> {
    const sql = tx === undefined ? this.context.pool : sqlOf(tx);
    const { rowCount } = await sql.run(this.finishStatement(...moveValues(cursor, read), token, sessionName(this.context.nodeId)));
    if (rowCount === 0) throw lost(cursor);
    tellGaps(cursor, read);
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
   * A hole is a range of the key, read up to the limit. As a join over its ids PostgreSQL, which cannot know how few they are, would read the whole lane.
   */
  private readSql(scan: number): string {
    const t = this.context.tables;
    const row = `o.id, o.type = any(c.types) as is_wanted, o.type, o.written_at, (extract(epoch from clock_timestamp() - o.written_at) * 1000)::float8 as age_ms,
      case when o.type = any(c.types) then o.attributes end as attributes, case when o.type = any(c.types) then o.body end as body`;
    return `with c as materialized (
        select c.position, c.holes, ${IS_SUSPECT} as is_suspect, ${typesOf(t)} as types
        from ${t.cursor} c join ${t.subscription} s on s.id = c.subscription_id
        where c.subscription_id = $1 and c.lane = $2 and ${IS_FREE}
        for update of c skip locked),
      n as materialized (select set_config('application_name', $3, true))
      select c.position, c.holes::text as holes, c.is_suspect, l.dead::text as dead,
        exists (select from ${t.delivery} d where d.subscription_id = $1) as has_stored, r.*
      from c cross join n
      cross join lateral (select l.dead * int8multirange(int8range(c.position, null, '()')) as dead, l.log_end
        from ${t.lane} l where l.lane = $2) l
      left join lateral (
        (select f.* from unnest(c.holes) h cross join lateral (
           select ${row} from ${t.outbox} o where o.lane = $2 and o.id >= lower(h) and o.id < upper(h) order by o.id limit ${scan}) f order by f.id limit ${scan})
        union all
        (select ${row} from ${t.outbox} o where o.lane = $2 and o.id > c.position and ${BEFORE_SWITCH} order by o.id limit ${scan})
      ) r on true`;
  }
}

function moveValues({ subscriptionId, lane }: CursorKey, { position, filled, gaps, messages }: Read): readonly unknown[] {
  return [subscriptionId, lane, String(position.upTo), formatMultirange(filled), formatMultirange(gaps), messages.length > 0];
}

function tellGaps({ lane }: CursorKey, { gaps }: Read): void {
  for (const { from, to } of gaps) emit('lane:hole-found', { lane, from, to });
}

function movedOn(cursor: CursorKey, error: unknown): Error | undefined {
  const { message } = error as { readonly message?: unknown };
  return typeof message === 'string' && message.includes(MOVED_ON) ? lost(cursor, error) : undefined;
}

function lost({ subscriptionId, lane }: CursorKey, cause?: unknown): Error {
  return hfError('HF_LEASE_LOST', { resource: `lane ${lane} of subscription ${subscriptionId}` }, { cause });
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
