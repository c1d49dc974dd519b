import { hfError, type Incoming, type Intake, type Lease, type Settlement, type Taken, type Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import type { SqlRunner } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** By the database's clock, since that of a process may be wrong. */
const AGE = '(extract(epoch from clock_timestamp() - d.written_at) * 1000)::float8 as age_ms';

/** Columns of a `DeliveryRow`. */
export const DELIVERY_COLUMNS = `d.id, d.type, d.attempts, d.is_suspect, d.error_code is not null as has_failure, d.has_consent, d.written_at, ${AGE},
  d.attributes, d.body`;

/** A stored delivery as it is read. */
export interface DeliveryRow {
  readonly id: string;
  readonly type: string;
  readonly attempts: number;
  readonly is_suspect: boolean;
  readonly has_failure: boolean;
  readonly has_consent: boolean;
  readonly written_at: Date | null;
  readonly age_ms: number | null;
  readonly attributes: string;
  readonly body: Buffer;
}

/** One that is ours for a time. */
export interface LeasedRow extends DeliveryRow {
  /** The due time that proves the lease, as text: a Date would lose microseconds. */
  readonly lease: string;
}

/** What was taken, as an intake gives it. */
export function takenOf(rows: readonly DeliveryRow[]): Taken {
  return { messages: rows.map(incoming), hasMore: rows.length > 0, isMoved: false, isSuspect: false, hasStored: true };
}

function incoming(row: DeliveryRow): Incoming {
  return {
    type: row.type,
    attributes: row.attributes,
    body: row.body,
    place: `delivery/${row.id}`,
    lane: undefined,
    writtenAt: row.written_at ?? undefined,
    ageMs: row.age_ms ?? undefined,
    attempts: row.attempts,
    hasFailure: row.has_failure && !row.is_suspect,
    isCounted: row.is_suspect,
    isRedelivery: true,
    hasConsent: row.has_consent,
    deliveryId: row.id,
  };
}

/** Locks a stored delivery, unless somebody has handled it or counted a failure of it since we took it. */
async function isStillOurs(
  tx: Transaction,
  { tables, nodeId }: PostgresContext,
  { id, attempts }: { readonly id: string; readonly attempts: number },
): Promise<boolean> {
  const { rows } = await sqlOf(tx).run({
    text: `select set_config('application_name', $3, true) from ${tables.delivery} where id = $1 and state = 'retry' and attempts = $2 for update`,
    values: [id, attempts, sessionName(nodeId)],
  });
  return rows.length === 1;
}

/** The due time that a lease began with. */
const FIRST = '$2::timestamptz';
/** By id, and by the due times that prove it. */
const IS_OURS = `id = $1 and state = 'retry'
  and next_attempt_at in (select ${FIRST} + ms * interval '1 millisecond' from unnest($3::float8[]) ms)`;

/** How deliveries that are due are had. */
export interface DueSource {
  take(tx: Transaction): Promise<Taken>;
  lease(ttlMs: number): Promise<LeasedRow | undefined>;
}

/** Stored deliveries of one subscription that are due. A taken row stays until the message succeeded (`close`) or failed again (`record`). */
export class DueDeliveries implements Intake {
  constructor(
    private readonly context: PostgresContext,
    private readonly source: DueSource,
  ) {}

  take(tx: Transaction): Promise<Taken> {
    return this.source.take(tx);
  }

  retake(tx: Transaction, message: Incoming): Promise<boolean> {
    return isStillOurs(tx, this.context, { id: message.deliveryId as string, attempts: message.attempts });
  }

  async lease(_limit: number, ttlMs: number): Promise<Lease | undefined> {
    const row = await this.source.lease(ttlMs);
    return row && new DeliveryLease(this.context, row, ttlMs);
  }

  async settle(): Promise<void> {
    // A row is settled by the transaction that took it.
  }
}

/** One suspect delivery, already counted. The row counts the attempt that is now to be made. */
export class CountedDelivery implements Intake {
  private readonly leased: DeliveryLease;

  constructor(
    context: PostgresContext,
    private readonly row: LeasedRow,
    leaseMs: number,
  ) {
    this.leased = new DeliveryLease(context, row, leaseMs);
  }

  async take(tx: Transaction): Promise<Taken> {
    return takenOf((await this.leased.isOurs(sqlOf(tx))) ? [this.row] : []);
  }

  /** By its due time: whoever takes it over need not have counted it. */
  retake(tx: Transaction): Promise<boolean> {
    return this.leased.isOurs(sqlOf(tx));
  }

  async lease(_limit: number, ttlMs: number): Promise<Lease | undefined> {
    await this.leased.renewFor(ttlMs);
    return this.leased;
  }

  /** Its lease ends soon by itself, should this fail. */
  async settle(_messages: readonly Incoming[], outcome: Settlement): Promise<void> {
    if (outcome === 'requeue') await this.leased.release().catch(() => undefined);
  }
}

/**
 * A stored delivery that is ours: its due time lies in the future, and that very time proves it. Whoever dies gives it back when it comes. The times that it gets are chosen
 * here, so that it stays ours when the answer to a renewal is lost.
 */
class DeliveryLease implements Lease {
  readonly messages;
  readonly hasMore = true;
  readonly isMoved = false;
  readonly isSuspect = false;
  readonly hasStored = true;
  /** What the due time may be, in milliseconds after that of `row`: several once an answer was lost. */
  private offsets: readonly number[] = [0];
  /** The database's time on the same scale, and when it was that. */
  private nowMs: number;
  private nowAtMs: number;

  constructor(
    private readonly context: PostgresContext,
    private readonly row: LeasedRow,
    private ttlMs: number,
  ) {
    this.messages = [incoming(row)];
    this.nowMs = -ttlMs;
    this.nowAtMs = context.clock.monotonicMs();
  }

  renewFor(ttlMs: number): Promise<void> {
    this.ttlMs = ttlMs;
    return this.renew();
  }

  async renew(): Promise<void> {
    const { clock, tables, pool } = this.context;
    const offset = Math.round(this.nowMs + (clock.monotonicMs() - this.nowAtMs) + this.ttlMs);
    const proof = this.offsets;
    this.offsets = [...proof, offset];
    const { rows } = await pool.run<{ now_ms: number }>({
      text: `update ${tables.delivery} set next_attempt_at = ${FIRST} + $4 * interval '1 millisecond' where ${IS_OURS}
             returning (extract(epoch from clock_timestamp() - ${FIRST}) * 1000)::float8 as now_ms`,
      values: [...this.identity(proof), offset],
    });
    const [renewed] = rows;
    if (renewed === undefined) throw this.lost();
    this.offsets = [offset];
    this.nowMs = renewed.now_ms + clock.aheadOfDatabaseMs();
    this.nowAtMs = clock.monotonicMs();
    // A clock was set, or stood still with the machine: the time that was chosen is wrong.
    if (Math.abs(this.nowMs + this.ttlMs - offset) > this.ttlMs / 3) await this.renew();
  }

  /** Locks the row and leaves it as it is, so that a commit that fails leaves a lease that can be given back; what follows in `tx` closes or records it. */
  async finish(tx: Transaction | undefined): Promise<void> {
    if (!(await this.isOurs(tx === undefined ? this.context.pool : sqlOf(tx)))) throw this.lost();
  }

  /** Locks the row, as long as it is. */
  async isOurs(sql: SqlRunner): Promise<boolean> {
    const { rows } = await sql.run({
      text: `select set_config('application_name', $4, true) from ${this.context.tables.delivery} where ${IS_OURS} for update`,
      values: [...this.identity(), sessionName(this.context.nodeId)],
    });
    return rows.length === 1;
  }

  /** A process that can give it back has not died of it: what was counted in advance does not count. */
  async release(): Promise<void> {
    const { tables, clock, pool } = this.context;
    const { rowCount } = await pool.run({
      text: `update ${tables.delivery} set next_attempt_at = clock_timestamp() + $4 * interval '1 millisecond', attempts = $5, counted_by = null where ${IS_OURS}`,
      values: [...this.identity(), clock.aheadOfDatabaseMs(), this.row.attempts],
    });
    if (rowCount === 0) throw this.lost();
  }

  private identity(offsets = this.offsets): readonly unknown[] {
    return [this.row.id, this.row.lease, offsets];
  }

  private lost(): Error {
    return hfError('HF_LEASE_LOST', { resource: `stored delivery ${this.row.id}` });
  }
}
