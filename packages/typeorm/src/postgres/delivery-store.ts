import {
  type DeliveryRecord,
  type DeliveryStore,
  type DueTimes,
  failpoint,
  hfError,
  type Incoming,
  type Intake,
  type KeyLock,
  type Lease,
  type Taken,
  type Transaction,
} from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { lockKeys } from './key-locks.js';
import { sessionName } from './node-store.js';
import { prepared, type SqlRunner } from './sql.js';
import { sqlOf } from './transaction-sql.js';

/** By the database's clock, since that of a process may be wrong. */
const AGE = '(extract(epoch from clock_timestamp() - written_at) * 1000)::float8 as age_ms';

const HAS_FAILURE = 'error_code is not null as has_failure';

interface DeliveryRow {
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

interface LeasedRow extends DeliveryRow {
  /** The due time that proves the lease, as text: a Date would lose microseconds. */
  readonly lease: string;
}

/** Deliveries that did not succeed, as rows: due ones are an intake like any other. */
export class PostgresDeliveryStore implements DeliveryStore {
  private readonly insert;
  private readonly update;
  private readonly takeStatement;
  private readonly keysStatement;
  /** By the subscriptions asked for: with them in the text PostgreSQL plans once per connection, as a parameter at every look. */
  private readonly dueStatements = new Map<string, ReturnType<typeof prepared>>();

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    const due = (ms: string) => `clock_timestamp() + ${ms} * interval '1 millisecond'`;
    this.insert = prepared(
      `insert into ${t.delivery} (subscription_id, state, source, message_id, type, key, attempts, next_attempt_at, is_suspect, has_consent, written_at,
         error_code, error_type, error_message, error_stack, fingerprint, attributes, body)
       values ($1, $2, $3, $4, $5, $6, $7, ${due('$8')}, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
    );
    this.update = prepared(
      `update ${t.delivery} set state = $2, attempts = $3, next_attempt_at = ${due('$4')}, is_suspect = $5, failed_at = clock_timestamp(),
         error_code = coalesce($6, error_code), error_type = coalesce($7, error_type), error_message = coalesce($8, error_message),
         error_stack = coalesce($9, error_stack), fingerprint = coalesce($10, fingerprint)
       where id = $1`,
    );
    this.takeStatement = prepared(
      `with n as materialized (select set_config('application_name', $3, true))
       select d.* from (select id, type, attempts, is_suspect, ${HAS_FAILURE}, has_consent, written_at, ${AGE}, attributes, body from ${t.delivery}
         where subscription_id = $1 and state = 'retry' and not is_suspect and next_attempt_at <= ${due('$2')}
           and exists (select from ${t.subscription} s where s.id = $1 and s.state = 'active')
         order by next_attempt_at, id limit 1 for update skip locked) d cross join n`,
    );
    this.keysStatement = prepared(
      `select distinct key from ${t.delivery} where subscription_id = $1 and key = any($2::text[]) and (state not in ('dead', 'invalid') or $3)`,
    );
  }

  async record(tx: Transaction, records: readonly DeliveryRecord[]): Promise<void> {
    const sql = sqlOf(tx);
    const ahead = this.context.clock.aheadOfDatabaseMs();
    for (const { subscriptionId, message, identity, key, state, attempts, delayMs, failure, isSuspect } of records) {
      const error = [failure?.code, failure?.errorType, failure?.message, failure?.stack, failure?.fingerprint].map(
        (value) => value ?? null,
      );
      const due = delayMs + ahead;
      await sql.run(
        message.deliveryId === undefined
          ? this.insert(
              subscriptionId,
              state,
              identity?.source ?? null,
              identity?.id ?? null,
              message.type,
              key ?? null,
              attempts,
              due,
              isSuspect,
              message.hasConsent,
              message.writtenAt ?? null,
              ...error,
              message.attributes,
              message.body,
            )
          : this.update(message.deliveryId, state, attempts, due, isSuspect, ...error),
      );
    }
  }

  async lockKeys(tx: Transaction, { subscriptionId, keys, blocksKeys }: KeyLock): Promise<ReadonlySet<string>> {
    const sql = sqlOf(tx);
    const sorted = [...new Set(keys)].sort();
    // Two statements: the second one's snapshot must be younger than the locks.
    await lockKeys(
      sql,
      sorted.map((key) => ({ subscriptionId, key })),
      this.context.nodeId,
    );
    const { rows } = await sql.run<{ key: string }>(this.keysStatement(subscriptionId, sorted, blocksKeys));
    return new Set(rows.map(({ key }) => key));
  }

  async close(
    tx: Transaction,
    subscriptionId: number,
    messages: readonly { readonly source: string; readonly id: string }[],
  ): Promise<void> {
    const t = this.context.tables;
    const { rows } = await sqlOf(tx).run<{ key: string | null }>({
      text: `delete from ${t.delivery} d using unnest($2::text[], $3::text[]) m(source, id)
             where d.subscription_id = $1 and d.message_id = m.id and d.source = m.source returning d.key`,
      values: [subscriptionId, messages.map(({ source }) => source), messages.map(({ id }) => id)],
    });
    await this.free(
      tx,
      subscriptionId,
      rows.flatMap(({ key }) => (key === null ? [] : [key])),
    );
  }

  async free(tx: Transaction, subscriptionId: number, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const t = this.context.tables;
    const sql = sqlOf(tx);
    // A message may just be put behind the one that frees them.
    await lockKeys(
      sql,
      keys.map((key) => ({ subscriptionId, key })),
      this.context.nodeId,
    );
    await sql.run({
      text: `update ${t.delivery} set state = 'retry', next_attempt_at = clock_timestamp() + $3 * interval '1 millisecond'
             where id in (select (select d.id from ${t.delivery} d where d.subscription_id = $1 and d.key = k and d.state not in ('dead', 'invalid') order by d.id limit 1)
                          from unnest($2::text[]) k) and state = 'waiting'`,
      values: [subscriptionId, [...new Set(keys)], this.context.clock.aheadOfDatabaseMs()],
    });
  }

  async due(subscriptionIds: readonly number[]): Promise<ReadonlyMap<number, DueTimes>> {
    if (subscriptionIds.length === 0) return new Map();
    const { rows } = await this.context.pool.run<{ id: number; ms: number | null; suspect_ms: number | null }>(
      this.dueStatement(subscriptionIds.join(','))(this.context.clock.aheadOfDatabaseMs()),
    );
    return new Map(rows.map(({ id, ms, suspect_ms }) => [id, { ms: waitOf(ms), suspectMs: waitOf(suspect_ms) }]));
  }

  private dueStatement(ids: string): ReturnType<typeof prepared> {
    const known = this.dueStatements.get(ids);
    if (known !== undefined) return known;
    const { delivery, subscription } = this.context.tables;
    const next = (condition: string) =>
      `(select extract(epoch from d.next_attempt_at - clock_timestamp()) * 1000 - $1::float8 from ${delivery} d
        where d.subscription_id = s.id and d.state = 'retry' and ${condition} order by d.next_attempt_at limit 1)`;
    const made = prepared(
      `select * from (select s.id, ${next('not d.is_suspect')} as ms, ${next('d.is_suspect')} as suspect_ms
         from ${subscription} s where s.id in (${ids}) and s.state = 'active') due where ms is not null or suspect_ms is not null`,
    );
    this.dueStatements.set(ids, made);
    return made;
  }

  intake(subscriptionId: number): Intake {
    return new DueDeliveries((tx) => this.take(tx, subscriptionId), this.context, subscriptionId);
  }

  async countSuspect(subscriptionId: number, leaseMs: number): Promise<Intake | undefined> {
    const row = await leaseOne(this.context, { subscriptionId, ms: leaseMs, condition: 'is_suspect', also: ', attempts = d.attempts + 1' });
    // The attempt that was just counted is the one that follows.
    return row && new CountedDelivery(this.context, { ...row, attempts: row.attempts - 1 });
  }

  /** One at a time: what has failed before would undo the others of its batch. */
  private async take(tx: Transaction, subscriptionId: number): Promise<Taken> {
    const { rows } = await sqlOf(tx).run<DeliveryRow>(
      this.takeStatement(subscriptionId, this.context.clock.aheadOfDatabaseMs(), sessionName(this.context.nodeId)),
    );
    failpoint('delivery:after-take');
    return takenOf(rows);
  }
}

function waitOf(ms: number | null): number | undefined {
  return ms === null ? undefined : Math.max(0, Math.ceil(Number(ms)));
}

/** Moves the due time of the first due delivery into the future, which makes it ours for that time; the new due time proves it. */
async function leaseOne(
  context: PostgresContext,
  {
    subscriptionId,
    ms,
    condition,
    also,
  }: { readonly subscriptionId: number; readonly ms: number; readonly condition: string; readonly also: string },
): Promise<LeasedRow | undefined> {
  const { delivery, subscription } = context.tables;
  const { rows } = await context.pool.run<LeasedRow>({
    text: `update ${delivery} d set next_attempt_at = clock_timestamp() + ($2::float8 + $3::float8) * interval '1 millisecond'${also}
           from (select id from ${delivery} where subscription_id = $1 and state = 'retry' and ${condition}
                   and next_attempt_at <= clock_timestamp() + $3 * interval '1 millisecond'
                   and exists (select from ${subscription} s where s.id = $1 and s.state = 'active')
                 order by next_attempt_at, id limit 1 for update skip locked) due
           where d.id = due.id
           returning d.id, d.type, d.attempts, d.is_suspect, ${HAS_FAILURE}, d.has_consent, d.written_at, ${AGE}, d.attributes, d.body, d.next_attempt_at::text as lease`,
    values: [subscriptionId, ms, context.clock.aheadOfDatabaseMs()],
  });
  return rows[0];
}

function takenOf(rows: readonly DeliveryRow[]): Taken {
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
    isRedelivery: true,
    hasConsent: row.has_consent,
    deliveryId: row.id,
  };
}

/** Locks a stored delivery, unless somebody has handled it or counted a failure of it since we took it. */
async function isStillOurs(
  tx: Transaction,
  { tables }: PostgresContext,
  { id, attempts }: { readonly id: string; readonly attempts: number },
): Promise<boolean> {
  const { rows } = await sqlOf(tx).run({
    text: `select from ${tables.delivery} where id = $1 and state = 'retry' and attempts = $2 for update`,
    values: [id, attempts],
  });
  return rows.length === 1;
}

/** Stored deliveries of one subscription that are due. A taken row stays until the message succeeded (`close`) or failed again (`record`). */
class DueDeliveries implements Intake {
  constructor(
    readonly take: Intake['take'],
    private readonly context: PostgresContext,
    private readonly subscriptionId: number,
  ) {}

  retake(tx: Transaction, message: Incoming): Promise<boolean> {
    return isStillOurs(tx, this.context, { id: message.deliveryId as string, attempts: message.attempts });
  }

  async lease(_limit: number, ttlMs: number): Promise<Lease | undefined> {
    const row = await leaseOne(this.context, { subscriptionId: this.subscriptionId, ms: ttlMs, condition: 'not is_suspect', also: '' });
    return row && new DeliveryLease(this.context, row, ttlMs);
  }

  async settle(): Promise<void> {
    // A row is settled by the transaction that took it.
  }
}

/** One suspect delivery, already counted. The row counts the attempt that is now to be made. */
class CountedDelivery implements Intake {
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
  async settle(_messages: readonly Incoming[], outcome: 'ack' | 'requeue'): Promise<void> {
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
    return this.move(this.ttlMs, this.context.pool);
  }

  /** Only makes sure that it is still ours; what follows in `tx` closes or records it. */
  finish(tx: Transaction | undefined): Promise<void> {
    return this.move(this.ttlMs, tx === undefined ? this.context.pool : sqlOf(tx));
  }

  /** A process that can give it back has not died of it: what was counted in advance does not count. */
  release(): Promise<void> {
    return this.move(0, this.context.pool, `, attempts = ${this.row.attempts}`);
  }

  private async move(ms: number, sql: SqlRunner, also = ''): Promise<void> {
    const { rows } = await sql.run<{ lease: string }>({
      text: `update ${this.context.tables.delivery} set next_attempt_at = clock_timestamp() + $3 * interval '1 millisecond'${also}
             where id = $1 and state = 'retry' and next_attempt_at = $2::timestamptz 
             returning next_attempt_at::text as lease, set_config('application_name', $4, true)`,
      values: [this.row.id, this.lease, ms + this.context.clock.aheadOfDatabaseMs(), sessionName(this.context.nodeId)],
    });
    const [moved] = rows;
    if (moved === undefined) throw hfError('HF_LEASE_LOST', { resource: `stored delivery ${this.row.id}` });
    this.lease = moved.lease;
  }
}
