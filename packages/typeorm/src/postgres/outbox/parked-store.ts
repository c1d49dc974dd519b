import {
  envelopeFrom,
  hfError,
  type OperatorAction,
  type Page,
  type Paged,
  type ParkedBatch,
  type ParkedChoice,
  type ParkedFilter,
  type ParkedMessage,
  type ParkedReason,
  type ParkedStore,
  type ReadBound,
  type Resent,
} from '@holdfast/core';
import { audit, targetOf } from '../audit.js';
import { Conditions, isRowId, pageLimit } from '../conditions.js';
import { byLane } from './by-lane.js';
import type { PostgresContext } from '../context.js';
import { SCOPE_OF_LANE } from './relay-scope.js';
import { LIFE } from '../server-life.js';
import { prepared, type SqlRunner } from '../sql/sql.js';

/** Of one key, sent one after another in a turn. */
const OF_A_KEY = 16;

interface ParkedRow {
  readonly id: string;
  readonly lane: number;
  readonly row_id: string;
  readonly written_at: Date;
  readonly type: string;
  readonly key: string | null;
  readonly attributes: string;
  readonly body: Buffer;
  readonly reason: ParkedReason;
  readonly error: string | null;
  readonly attempts: number;
  readonly next_attempt_at: Date | null;
  readonly parked_at: Date;
}

/** Messages that could not be sent; within a key in the order of the log. */
export class PostgresParkedStore implements ParkedStore {
  private readonly dueStatement;
  private readonly resentStatement;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    // The first of a key decides for all of it; what is behind it has no time of its own, so that it is due when the first is gone, whoever took it away.
    // From key to key: PostgreSQL has no such scan of its own, so each step looks up the next one.
    const first = (where: string) =>
      `select p.id, p.lane, p.key, p.next_attempt_at from ${t.parked} p where ${where} order by p.key, p.row_id, p.id limit 1`;
    this.dueStatement = prepared(
      `with recursive firsts as (
         (select f.* from unnest($1::smallint[]) l(lane) cross join lateral (${first('p.lane = l.lane and p.key is not null')}) f)
         union all
         (select f.* from firsts b cross join lateral (${first('p.lane = b.lane and p.key > b.key')}) f)),
       due as (
         select id, lane, key, coalesce(next_attempt_at, '-infinity') as at from firsts
         where coalesce(next_attempt_at, '-infinity') <= clock_timestamp() + $3 * interval '1 millisecond'
         union all
         (select id, lane, null, next_attempt_at from ${t.parked} where lane = any($1::smallint[]) and key is null
            and next_attempt_at <= clock_timestamp() + $3 * interval '1 millisecond' order by next_attempt_at limit $2)
         order by at limit $2)
       select ${LIFE} as life, c.* from (
         select r.*, sum(r.size) over (order by rank, at, lane, row_id, id rows unbounded preceding) as total from (
           select p.*, d.at, row_number() over (partition by d.id order by p.row_id, p.id) as rank,
             octet_length(p.attributes) + octet_length(p.body) as size
           from due d cross join lateral (
             (select * from ${t.parked} p where d.key is null and p.id = d.id)
             union all
             (select * from ${t.parked} p where p.lane = d.lane and p.key = d.key order by p.row_id, p.id limit ${OF_A_KEY})) p) r
         order by rank, at, lane, row_id, id limit $2) c
       where c.total <= $4 or c.total = c.size
       order by c.lane, c.row_id, c.id`,
    );
    this.resentStatement = prepared(
      `with mine as (select from ${t.lease} where scope = (select ${SCOPE_OF_LANE} from ${t.lane} l where l.lane = $1) and part = $1 and owner_token = $2 and ${LIFE} = $8),
       sent as (delete from ${t.parked} where lane = $1 and id = any($3::bigint[]) and exists (select from mine)),
       failed as (
         update ${t.parked} p set attempts = p.attempts + 1, reason = r.reason, error = r.error, next_attempt_at = clock_timestamp() + ($9 + r.delay_ms) * interval '1 millisecond'
         from unnest($4::bigint[], $5::text[], $6::text[], $7::float8[]) r(id, reason, error, delay_ms)
         where p.lane = $1 and p.id = r.id and exists (select from mine))
       select from mine`,
    );
  }

  async due(lanes: readonly number[], { rows: limit, bytes }: ReadBound): Promise<readonly ParkedBatch[]> {
    const { rows } = await this.context.pool.run<ParkedRow & { readonly life: string }>(
      this.dueStatement(lanes, limit, this.context.clock.aheadOfDatabaseMs(), bytes),
    );
    return [...byLane(rows)].map(([lane, rowsOfLane]) => ({ lane, life: rowsOfLane[0]?.life ?? '', rows: rowsOfLane.map(sendable) }));
  }

  async resent({ lane, life }: Pick<ParkedBatch, 'lane' | 'life'>, { sent, failed, ownerToken }: Resent): Promise<boolean> {
    const { rowCount } = await this.context.pool.run(
      this.resentStatement(
        lane,
        ownerToken,
        sent,
        failed.map(({ id }) => id),
        failed.map(({ reason }) => reason),
        failed.map(({ error }) => error ?? null),
        failed.map(({ delayMs }) => delayMs),
        life,
        this.context.clock.aheadOfDatabaseMs(),
      ),
    );
    return rowCount > 0;
  }

  async list({ limit: asked, cursor, ...filter }: ParkedFilter & Page): Promise<Paged<ParkedMessage>> {
    const limit = pageLimit(asked);
    const where = this.conditionsOf(filter);
    if (cursor !== undefined) {
      if (!isRowId(cursor)) throw hfError('HF_OPERATOR_PAGE', { what: 'cursor', value: cursor });
      where.and(`id > ${where.bind(cursor)}::bigint`);
    }
    const { rows } = await this.context.pool.run<ParkedRow & { readonly transport: string }>({
      text: `select p.*, (select transport from ${this.context.tables.lane} l where l.lane = p.lane) as transport
             from ${this.context.tables.parked} p where true ${where.text} order by id limit ${limit + 1}`,
      values: where.values,
    });
    const items = rows.slice(0, limit);
    return { items: items.map(messageOf), next: rows.length > limit ? items.at(-1)?.id : undefined };
  }

  resume(which: ParkedChoice, action: OperatorAction): Promise<number> {
    const { parked } = this.context.tables;
    // What is behind has no time, and goes with the first of its key.
    return this.act(which, { ...action, name: 'resume parked' }, (where) => ({
      text: `with chosen as (select id, lane, key, reason from ${parked} where true ${where.text}),
             firsts as (
               select f.id from (select distinct lane, key from chosen where reason = 'behind') c
               cross join lateral (select p.id from ${parked} p where p.lane = c.lane and p.key = c.key order by p.row_id, p.id limit 1) f),
             due as (
               update ${parked} set next_attempt_at = clock_timestamp()
               where reason <> 'behind' and id in (select id from chosen union select id from firsts))
             select from chosen`,
      values: where.values,
    }));
  }

  discard(which: ParkedChoice, action: OperatorAction): Promise<number> {
    return this.act(which, { ...action, name: 'discard parked' }, (where) => ({
      text: `delete from ${this.context.tables.parked} where true ${where.text}`,
      values: where.values,
    }));
  }

  private act(
    which: ParkedChoice,
    { name, ...action }: OperatorAction & { readonly name: string },
    statement: (where: Conditions) => { readonly text: string; readonly values: readonly unknown[] },
  ): Promise<number> {
    const where = typeof which === 'string' ? conditionsOfId(which) : this.conditionsOf(which);
    return this.context.pool.transaction(async (sql: SqlRunner) => {
      const { rowCount } = await sql.run(statement(where));
      if (rowCount > 0) await audit(sql, this.context, { ...action, action: name, target: targetOf(which, rowCount) });
      return rowCount;
    });
  }

  private conditionsOf({ transport, type, key, reason, since, until }: ParkedFilter): Conditions {
    const where = new Conditions();
    if (transport !== undefined)
      where.and(`lane in (select l.lane from ${this.context.tables.lane} l where l.transport = ${where.bind(transport)})`);
    if (type !== undefined) where.and(`type = ${where.bind(type)}`);
    if (key !== undefined) where.and(`key = ${where.bind(key)}`);
    if (reason !== undefined) where.and(`reason = ${where.bind(reason)}`);
    if (since !== undefined) where.and(`parked_at >= ${where.bind(since)}`);
    if (until !== undefined) where.and(`parked_at < ${where.bind(until)}`);
    return where;
  }
}

function conditionsOfId(id: string): Conditions {
  const where = new Conditions();
  where.and(isRowId(id) ? `id = ${where.bind(id)}::bigint` : 'false');
  return where;
}

function sendable(row: ParkedRow): ParkedBatch['rows'][number] {
  return {
    id: BigInt(row.id),
    type: row.type,
    key: row.key ?? undefined,
    isBehindParked: false,
    attributes: row.attributes,
    body: row.body,
    place: `${row.lane}/${row.row_id}`,
    lane: row.lane,
    writtenAt: row.written_at,
    // What waited behind another one is sent for the first time now.
    attempts: row.reason === 'behind' ? 0 : row.attempts + 1,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
  };
}

function messageOf(row: ParkedRow & { readonly transport: string }): ParkedMessage {
  const { id, source } = identityOf(row);
  return {
    id: row.id,
    message: { id, source, type: row.type, key: row.key ?? undefined },
    lane: row.lane,
    transport: row.transport,
    reason: row.reason,
    error: row.error ?? undefined,
    attempts: row.attempts,
    nextAttemptAt: row.next_attempt_at ?? undefined,
    parkedAt: row.parked_at,
    body: row.body,
  };
}

/** Empty where they cannot be read: that may be why it is parked. */
function identityOf({ attributes, body }: ParkedRow): { readonly id: string; readonly source: string } {
  try {
    return envelopeFrom(attributes, body);
  } catch {
    return { id: '', source: '' };
  }
}
