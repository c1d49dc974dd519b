import {
  type Carrier,
  type CarrierInfo,
  type CarrierStore,
  type Crossing,
  hfError,
  LOG_TRANSPORT,
  MOST_SILENT_MS,
  type OperatorAction,
} from '@holdfast/core';
import { audit } from '../audit.js';
import { joinedTypes } from '../delivery/taken-types.js';
import { BEFORE_SWITCH } from './before-switch.js';
import type { PostgresContext } from '../context.js';
import { isLiving } from '../living.js';
import { IS_DEFAULT } from './relay-scope.js';
import { LogEnd } from './log-end.js';
import { prepared, type SqlRunner } from '../sql/sql.js';

interface LogRow {
  readonly is_switched: boolean;
  readonly is_sent: boolean;
  readonly is_read: boolean;
}

interface SubscriptionRow {
  readonly service: string;
  readonly name: string;
  readonly state: 'active' | 'paused';
  readonly is_reading: boolean;
  readonly backlog: string;
  readonly transports: string[];
}

interface OtherBroker {
  readonly service: string;
  readonly transport: string;
  readonly n: string;
}

/** Who carries the log, in the rows of its lanes: a `log_end` says up to which id its readers have it, and those who have cursors are not done. */
export class PostgresCarrierStore implements CarrierStore {
  private readonly end: LogEnd;
  private readonly dropStatement;
  private readonly readingStatement;

  constructor(private readonly context: PostgresContext) {
    this.end = new LogEnd(context);
    const t = context.tables;
    const mine = `from ${t.cursor} c join ${t.subscription} s on s.id = c.subscription_id join ${t.lane} l on l.lane = c.lane
      ${joinedTypes(t)}`;
    // All or none of its cursors, and none that somebody has in work: what the others have not read is looked for in the snapshot that shows their places.
    this.dropStatement = prepared(
      `with free as (select lane from ${t.cursor} where subscription_id = $1 for update skip locked)
       delete from ${t.cursor} where subscription_id = $1
         and (select count(*) from free) = (select count(*) from ${t.cursor} where subscription_id = $1)
         and not exists (select from ${t.lane} where (log_end is null or not is_log_closed) and ${IS_DEFAULT})
         and not exists (select ${mine} join ${t.outbox} o on o.lane = c.lane and o.id > c.position and ${BEFORE_SWITCH} and o.type = any(w.types)
           where c.subscription_id = $1)
         and not exists (select ${mine} cross join unnest(c.holes) h
           join ${t.outbox} o on o.lane = c.lane and o.id >= lower(h) and o.id < upper(h) and o.type = any(w.types) where c.subscription_id = $1)`,
    );
    this.readingStatement = prepared(`select distinct subscription_id as id from ${t.cursor} where subscription_id = any($1::int[])`);
  }

  settle({ readsLog, subscriptionIds }: { readonly readsLog: boolean; readonly subscriptionIds: readonly number[] }): Promise<Carrier> {
    const t = this.context.tables;
    return this.context.pool.transaction(async (sql) => {
      const { is_switched, is_sent, is_read } = await this.locked(sql);
      if (readsLog && is_switched) throw hfError('HF_TRANSPORT_SWITCHED', {});
      if (readsLog) return 'log';
      if (is_switched) return 'broker';
      if (is_sent) {
        const reading = await this.reading(sql, subscriptionIds);
        if (reading.length > 0) throw hfError('HF_TRANSPORT_MIXED', { names: await this.namesOf(sql, reading) });
        return 'broker';
      }
      if (is_read) return 'log';
      await sql.run({ text: `update ${t.lane} set relay_position = trimmed_to where ${IS_DEFAULT}` });
      return 'broker';
    });
  }

  async announce(nodeId: string, transport: string): Promise<void> {
    this.context.transport = transport;
    await this.context.pool.transaction(async (sql) => {
      const { is_switched, is_sent } = await this.locked(sql);
      const others = is_switched || is_sent ? await this.withOtherBroker(sql, transport) : [];
      if (others.length > 0) throw hfError('HF_TRANSPORT_OTHER', { transport, others: others.map(spelled).join(', ') });
      await sql.run({ text: `update ${this.context.tables.node} set transport = $2 where id = $1`, values: [nodeId, transport] });
    });
  }

  async advance(subscriptionIds: readonly number[]): Promise<Crossing> {
    const isSwitched = await this.end.close();
    if (isSwitched)
      for (const id of await this.reading(this.context.pool, subscriptionIds)) await this.context.pool.run(this.dropStatement(id));
    return { isSwitched, reading: await this.reading(this.context.pool, subscriptionIds) };
  }

  async show(): Promise<CarrierInfo> {
    const t = this.context.tables;
    const { rows: lanes } = await this.context.pool.run<{ is_sent: boolean }>({
      text: `select bool_or(relay_position is not null) as is_sent from ${t.lane} where ${IS_DEFAULT}`,
    });
    const { rows } = await this.context.pool.run<SubscriptionRow>({
      text: `select s.service, s.name, s.state, exists (select from ${t.cursor} c where c.subscription_id = s.id) as is_reading, b.backlog,
               array(select distinct coalesce(n.transport, 'not said yet') from ${t.node} n where n.id = any(s.served_by) and ${isLiving(this.context)} order by 1) as transports
             from ${t.subscription} s
             ${joinedTypes(t)}
             cross join lateral (select count(o.id) as backlog from ${t.cursor} c join ${t.lane} l on l.lane = c.lane
               join ${t.outbox} o on o.lane = c.lane and (o.id > c.position or o.id <@ c.holes) and ${BEFORE_SWITCH} and o.type = any(w.types)
               where c.subscription_id = s.id) b
             where s.is_handler and s.state <> 'retired' order by s.service, s.name`,
    });
    const subscriptions = rows.map(({ service, name, state, is_reading, backlog, transports }) => ({
      service,
      name,
      state,
      carrier: is_reading ? ('log' as const) : ('broker' as const),
      backlog: Number(backlog),
      transports,
    }));
    return { carrier: lanes[0]?.is_sent ? 'broker' : 'log', subscriptions };
  }

  async switchTo(transport: string, action: OperatorAction): Promise<void> {
    await this.context.pool.transaction(async (sql) => {
      const log = await this.locked(sql);
      const problems = log.is_sent || !log.is_read ? [notTheReaders(log)] : await this.unready(sql, transport);
      if (problems.length > 0) throw hfError('HF_TRANSPORT_SWITCH_REFUSED', { transport, problems });
      await sql.run(this.end.setting());
      await audit(sql, this.context, { ...action, action: 'switch', target: transport });
    });
    await this.end.raise();
  }

  /** How the log stands. It stays so until the transaction ends: whoever decides anything about it locks its lanes first. */
  private async locked(sql: SqlRunner): Promise<LogRow> {
    const t = this.context.tables;
    await sql.run({ text: `select from ${t.lane} where ${IS_DEFAULT} order by lane for update` });
    const { rows } = await sql.run<LogRow>({
      text: `select bool_or(log_end is not null) as is_switched, bool_or(relay_position is not null) as is_sent,
               exists (select from ${t.cursor}) as is_read from ${t.lane} where ${IS_DEFAULT}`,
    });
    return rows[0] as LogRow;
  }

  /** Processes that may know nothing of an end of the log, or have no queue for a subscription. */
  private async unready(sql: SqlRunner, transport: string): Promise<readonly string[]> {
    const t = this.context.tables;
    const isLive = isLiving(this.context);
    const silent = await sql.run<{ service: string; n: string }>({
      text: `select service, count(*) as n from ${t.node} n where transport is null and ${isLive} group by service order by service`,
    });
    const unserved = await sql.run<{ service: string; name: string; transports: string[] }>({
      text: `select s.service, s.name, array(select distinct n.transport from ${t.node} n where n.id = any(s.served_by) and n.transport is not null and ${isLive} order by 1) as transports
             from ${t.subscription} s where s.is_handler and s.state <> 'retired'
               and not exists (select from ${t.node} n where n.id = any(s.served_by) and n.transport = $1 and ${isLive}) order by s.service, s.name`,
      values: [transport],
    });
    const others = await this.withOtherBroker(sql, transport);
    return [
      ...others.map((other) => `${spelled(other)} would send a part of it over another broker; stop them, or start them with ${transport}`),
      ...silent.rows.map(
        ({ service, n }) =>
          `${n} ${n === '1' ? 'process' : 'processes'} of ${service} did not say which transport it has; wait until it has started, or end it when it runs an older version`,
      ),
      ...unserved.rows.map(({ service, name, transports }) => {
        const those = transports.length === 0 ? 'none runs at all' : `those that run have ${transports.join(', ')}`;
        return `no process of ${service} with ${transport} serves ${name} (${those}); start one, or retire it`;
      }),
    ];
  }

  /** Living processes that would send the log over another broker than this one. */
  private async withOtherBroker(sql: SqlRunner, transport: string): Promise<readonly OtherBroker[]> {
    const { rows } = await sql.run<OtherBroker>({
      text: `select service, transport, count(*) as n from ${this.context.tables.node}
             where transport <> all($1::text[]) and $2 <> '${LOG_TRANSPORT}' and seen_at > clock_timestamp() - interval '${MOST_SILENT_MS} milliseconds'
             group by service, transport order by service, transport`,
      values: [[transport, LOG_TRANSPORT], transport],
    });
    return rows;
  }

  private async reading(sql: SqlRunner, subscriptionIds: readonly number[]): Promise<readonly number[]> {
    const { rows } = await sql.run<{ id: number }>(this.readingStatement(subscriptionIds));
    return rows.map(({ id }) => id);
  }

  private async namesOf(sql: SqlRunner, ids: readonly number[]): Promise<string> {
    const { rows } = await sql.run<{ name: string }>({
      text: `select name from ${this.context.tables.subscription} where id = any($1::int[]) order by name`,
      values: [ids],
    });
    return rows.map(({ name }) => name).join(', ');
  }
}

function spelled({ service, transport, n }: OtherBroker): string {
  return `${n} ${n === '1' ? 'process' : 'processes'} of ${service} (${transport})`;
}

function notTheReaders({ is_switched, is_sent }: LogRow): string {
  if (is_switched) return 'it was moved to a broker before';
  return is_sent
    ? 'a relay sends it to a broker already'
    : 'no subscription reads it: the first process with a broker makes it the broker its carrier';
}
