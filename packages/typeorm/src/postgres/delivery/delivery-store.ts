import {
  type DeliveryRecord,
  type DeliveryStore,
  type DueTimes,
  failpoint,
  type Hand,
  type Intake,
  type KeyRule,
  LEASE_MS,
  type SucceededMessage,
  type Taken,
  type Transaction,
} from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { PostgresKeyStore } from './key-store.js';
import { sessionName } from '../node-store.js';
import { prepared } from '../sql/sql.js';
import { CountedDelivery, DELIVERY_COLUMNS, type DeliveryRow, DueDeliveries, type LeasedRow, takenOf } from './stored-intakes.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** Of one that works alone. */
const LONE_HAND: Hand = { others: [], took: () => undefined };

/** Deliveries that did not succeed, as rows: due ones are an intake like any other. */
export class PostgresDeliveryStore extends PostgresKeyStore implements DeliveryStore {
  private readonly beginStatement;
  private readonly insert;
  private readonly update;
  private readonly closeStatement;
  private readonly closeByIdStatement;
  private readonly withdrawStatement;
  private readonly takeStatement;
  private readonly leaseStatement;
  private readonly countStatement;
  /** By the subscriptions asked for: with them in the text PostgreSQL plans once per connection, as a parameter at every look. */
  private readonly dueStatements = new Map<string, ReturnType<typeof prepared>>();

  private readonly session: string;

  constructor(context: PostgresContext) {
    super(context);
    this.session = sessionName(context.nodeId);
    const t = context.tables;
    const due = (ms: string) => `clock_timestamp() + ${ms} * interval '1 millisecond'`;
    this.beginStatement = prepared(
      `select set_config('application_name', $1, true), exists (select from ${t.delivery} where subscription_id = $2)::int`,
    );
    this.insert = prepared(
      `insert into ${t.delivery} (subscription_id, state, source, message_id, type, key, attempts, next_attempt_at, is_suspect, has_consent, written_at,
         error_code, error_type, error_message, error_stack, fingerprint, attributes, body)
       values ($1, $2, $3, $4, $5, $6, $7, ${due('$8')}, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
    );
    this.update = prepared(
      `update ${t.delivery} set state = $2, attempts = $3, next_attempt_at = ${due('$4')}, is_suspect = $5, counted_by = null,
         failed_at = clock_timestamp(), error_code = coalesce($6, error_code), error_type = coalesce($7, error_type),
         error_message = coalesce($8, error_message), error_stack = coalesce($9, error_stack), fingerprint = coalesce($10, fingerprint)
       where id = $1`,
    );
    this.closeStatement = prepared(
      `delete from ${t.delivery} d using unnest($2::text[], $3::text[]) m(source, id)
       where d.subscription_id = $1 and d.message_id = m.id and d.source = m.source returning d.id, d.key`,
    );
    this.closeByIdStatement = prepared(`delete from ${t.delivery} where subscription_id = $1 and id = any($2::bigint[]) returning id, key`);
    this.withdrawStatement = prepared(
      `delete from ${t.delivery} where id in (
         select id from ${t.delivery} where subscription_id = $1 and source = $2 and message_id = $3 for update skip locked) returning key`,
    );
    const { ordinary, marked, met } = conditions(`(select last_death_at from ${t.subscription} where id = $1)`);
    // An index gives the first of each kind. Of several conditions together none would.
    const first = (condition: string, aheadMs: string, columns = 'd.id') =>
      `(select ${columns} from ${t.delivery} d where d.subscription_id = $1 and ${condition} and d.next_attempt_at <= ${due(aheadMs)}
          and exists (select from ${t.subscription} s where s.id = $1 and s.state = 'active')
        order by d.next_attempt_at, d.id limit 1 for update skip locked)`;
    this.takeStatement = prepared(
      `with n as materialized (select set_config('application_name', $3, true))
       select f.* from ${first(`${ordinary} and d.id <> all($4::bigint[])`, '$2', DELIVERY_COLUMNS)} f cross join n`,
    );
    const lease = `next_attempt_at = ${due('($3::float8 + $2::float8)')}`;
    const returning = `returning ${DELIVERY_COLUMNS}, d.next_attempt_at::text as lease`;
    // Materialized, or PostgreSQL may look for the first one again for each row of the table, and would find another one each time.
    const chosen = (one: string) => `with f as materialized (${one}) update ${t.delivery} d set ${lease}`;
    this.leaseStatement = prepared(`${chosen(first(ordinary, '$2'))} from f where d.id = f.id ${returning}`);
    const firstSuspect = `select id from ${first(marked, '$2')} a union all select id from ${first(met, '$2')} b limit 1`;
    // Not who counted it: the answer was lost, or it is over. Nor one that was heard when it was due again, which has not died of it, whatever it knows.
    const isNotYetCounted = `(not exists (select from ${t.node} n where n.id = d.counted_by
      and (n.id = $4::uuid or n.seen_at + $2::float8 * interval '1 millisecond' >= d.next_attempt_at)))::int`;
    this.countStatement = prepared(
      `${chosen(firstSuspect)}, attempts = d.attempts + ${isNotYetCounted}, is_suspect = true, counted_by = $4::uuid from f where d.id = f.id ${returning}`,
    );
  }

  /** With the next statement, which is no round trip of its own. */
  async begin(tx: Transaction, subscriptionId: number): Promise<{ readonly hasStored: boolean }> {
    const begun = { hasStored: true };
    const { name, text, values } = this.beginStatement(this.session, subscriptionId);
    await sqlOf(tx).runFirst({
      name,
      text,
      values,
      answered: ([, stored]) => {
        begun.hasStored = stored === '1';
      },
    });
    return begun;
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

  async close(tx: Transaction, rule: KeyRule, messages: readonly SucceededMessage[]): Promise<void> {
    const sql = sqlOf(tx);
    type Closed = { readonly id: string; readonly key: string | null };
    const handled = messages.filter(({ isDropped }) => isDropped !== true);
    const sources = handled.map(({ source }) => source);
    const handledIds = handled.map(({ id }) => id);
    const { rows: known } =
      handled.length === 0 ? { rows: [] } : await sql.run<Closed>(this.closeStatement(rule.subscriptionId, sources, handledIds));
    // One that nobody could read when it was stored has another identity now, or one at last.
    const ids = new Set(messages.flatMap(({ deliveryId }) => deliveryId ?? []));
    for (const { id } of known) ids.delete(id);
    const { rows: renamed } = ids.size === 0 ? { rows: [] } : await sql.run<Closed>(this.closeByIdStatement(rule.subscriptionId, [...ids]));
    const rows = [...known, ...renamed];
    await this.free(tx, { ...rule, keys: rows.flatMap(({ key }) => key ?? []) });
  }

  async withdraw(
    tx: Transaction,
    { subscriptionId, source, id }: { readonly subscriptionId: number; readonly source: string; readonly id: string },
  ): Promise<readonly string[]> {
    const { rows } = await sqlOf(tx).run<{ key: string | null }>(this.withdrawStatement(subscriptionId, source, id));
    return rows.flatMap(({ key }) => key ?? []);
  }

  async due(subscriptionIds: readonly number[]): Promise<ReadonlyMap<number, DueTimes>> {
    if (subscriptionIds.length === 0) return new Map();
    const { rows } = await this.context.pool.run<{ id: number; ms: number | null; suspect_ms: number | null }>(
      this.dueStatement(subscriptionIds.join(','))(),
    );
    const ahead = this.ahead();
    return new Map(rows.map(({ id, ms, suspect_ms }) => [id, { ms: waitOf(ms, ahead), suspectMs: waitOf(suspect_ms, ahead) }]));
  }

  /** Without parameters, so that PostgreSQL plans it once per connection and not at each of the first looks. */
  private dueStatement(ids: string): ReturnType<typeof prepared> {
    const known = this.dueStatements.get(ids);
    if (known !== undefined) return known;
    const { delivery, subscription } = this.context.tables;
    const { recent, later, marked, met } = conditions('s.last_death_at');
    const next = (condition: string) =>
      `(select d.next_attempt_at from ${delivery} d where d.subscription_id = s.id and ${condition} order by d.next_attempt_at limit 1)`;
    const ms = (at: string) => `(extract(epoch from ${at} - clock_timestamp()) * 1000)::float8`;
    const made = prepared(
      `select id, ${ms('plain')} as ms, ${ms('suspect')} as suspect_ms
       from (select s.id, least(${next(recent)}, ${next(later)}) as plain, least(${next(marked)}, ${next(met)}) as suspect
         from ${subscription} s where s.id in (${ids}) and s.state = 'active' offset 0) due where plain is not null or suspect is not null`,
    );
    this.dueStatements.set(ids, made);
    return made;
  }

  intake(subscriptionId: number, hand: Hand = LONE_HAND): Intake {
    return new DueDeliveries(this.context, {
      take: (tx) => this.take(tx, subscriptionId, hand),
      lease: async (ttlMs) => (await this.context.pool.run<LeasedRow>(this.leaseStatement(subscriptionId, this.ahead(), ttlMs))).rows[0],
    });
  }

  async countSuspect(subscriptionId: number, leaseMs: number): Promise<Intake | undefined> {
    const counted = this.countStatement(subscriptionId, this.ahead(), leaseMs, this.context.nodeId);
    const [row] = (await this.context.pool.run<LeasedRow>(counted)).rows;
    // The attempt that was just counted is the one that follows.
    return row && new CountedDelivery(this.context, { ...row, attempts: row.attempts - 1 }, leaseMs);
  }

  /** One at a time: what has failed before would undo the others of its batch. */
  private async take(tx: Transaction, subscriptionId: number, hand: Hand): Promise<Taken> {
    const statement = this.takeStatement(subscriptionId, this.ahead(), sessionName(this.context.nodeId), hand.others);
    const { rows } = await sqlOf(tx).run<DeliveryRow>(statement);
    failpoint('delivery:after-take');
    for (const { id } of rows) hand.took(id);
    return takenOf(rows);
  }

  private ahead(): number {
    return this.context.clock.aheadOfDatabaseMs();
  }
}

function waitOf(ms: number | null, aheadMs: number): number | undefined {
  return ms === null ? undefined : Math.max(0, Math.ceil(ms - aheadMs));
}

/**
 * Which deliveries of a subscription are suspect: those `marked` so, and those that `met` its last death, because they were due or leased then
 * and nothing was recorded of them since. The others are `ordinary`: recorded since (`recent`), or due only `later`.
 */
function conditions(lastDeath: string) {
  const [unmarked, until] = [`d.state = 'retry' and not d.is_suspect`, `${lastDeath} + interval '${LEASE_MS} milliseconds'`];
  return {
    marked: `d.state = 'retry' and d.is_suspect`,
    met: `${unmarked} and d.next_attempt_at <= ${until} and d.failed_at < ${lastDeath}`,
    recent: `${unmarked} and d.next_attempt_at <= ${until} and d.failed_at >= ${lastDeath}`,
    later: `${unmarked} and d.next_attempt_at > ${until}`,
    ordinary: `${unmarked} and (d.next_attempt_at > ${until} or d.failed_at >= ${lastDeath})`,
  };
}
