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
  constructor(
    private readonly context: PostgresContext,
    private readonly row: LeasedRow,
  ) {}

  async take(tx: Transaction): Promise<Taken> {
    const { rows } = await sqlOf(tx).run({
      text: `select set_config('application_name', $3, true) from ${this.context.tables.delivery}
             where id = $1 and state = 'retry' and next_attempt_at = $2::timestamptz for update`,
      values: [this.row.id, this.row.lease, sessionName(this.context.nodeId)],
    });
    return takenOf(rows.length === 1 ? [this.row] : []);
  }

  retake(tx: Transaction): Promise<boolean> {
    return isStillOurs(tx, this.context, { id: this.row.id, attempts: this.row.attempts + 1 });
  }

  async lease(_limit: number, ttlMs: number): Promise<Lease | undefined> {
    const lease = new DeliveryLease(this.context, this.row, ttlMs);
    await lease.renew();
    return lease;
  }

  /** Its lease ends soon by itself, should this fail. */
  async settle(_messages: readonly Incoming[], outcome: Settlement): Promise<void> {
    if (outcome === 'requeue') await new DeliveryLease(this.context, this.row, 0).release().catch(() => undefined);
  }
}

/** A stored delivery that is ours: its due time lies in the future, and that very time proves it. Whoever dies gives it back when it comes. */
class DeliveryLease implements Lease {
  readonly messages;
  readonly hasMore = true;
  readonly isMoved = false;
  readonly isSuspect = false;
  readonly hasStored = true;
  private lease: string;

  constructor(
    private readonly context: PostgresContext,
    private readonly row: LeasedRow,
    private readonly ttlMs: number,
  ) {
    this.messages = [incoming(row)];
    this.lease = row.lease;
  }

  renew(): Promise<void> {
    return this.move(this.ttlMs);
  }

  /** Locks the row and leaves it as it is, so that a commit that fails leaves a lease that can be given back; what follows in `tx` closes or records it. */
  async finish(tx: Transaction | undefined): Promise<void> {
    const sql: SqlRunner = tx === undefined ? this.context.pool : sqlOf(tx);
    const { rows } = await sql.run({
      text: `select set_config('application_name', $3, true) from ${this.context.tables.delivery}
             where id = $1 and state = 'retry' and next_attempt_at = $2::timestamptz for update`,
      values: [this.row.id, this.lease, sessionName(this.context.nodeId)],
    });
    if (rows.length === 0) throw this.lost();
  }

  /** A process that can give it back has not died of it: what was counted in advance does not count. */
  release(): Promise<void> {
    return this.move(0, `, attempts = ${this.row.attempts}, counted_by = null`);
  }

  private async move(ms: number, also = ''): Promise<void> {
    const { rows } = await this.context.pool.run<{ lease: string }>({
      text: `update ${this.context.tables.delivery} set next_attempt_at = clock_timestamp() + $3 * interval '1 millisecond'${also}
             where id = $1 and state = 'retry' and next_attempt_at = $2::timestamptz returning next_attempt_at::text as lease`,
      values: [this.row.id, this.lease, ms + this.context.clock.aheadOfDatabaseMs()],
    });
    const [moved] = rows;
    if (moved === undefined) throw this.lost();
    this.lease = moved.lease;
  }

  private lost(): Error {
    return hfError('HF_LEASE_LOST', { resource: `stored delivery ${this.row.id}` });
  }
}
