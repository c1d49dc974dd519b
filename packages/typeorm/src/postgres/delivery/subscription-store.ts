import {
  emit,
  hfError,
  type Leftover,
  type OperatorAction,
  type RegisteredSubscription,
  type SubscriptionDeclaration,
  type SubscriptionInfo,
  type SubscriptionStore,
  type Transaction,
} from '@holdfast/core';
import { audit } from '../audit.js';
import { BEFORE_SWITCH } from '../outbox/before-switch.js';
import type { PostgresContext } from '../context.js';
import { isLiving } from '../living.js';
import { buryDeliveriesOf } from './retired-deliveries.js';
import { lockSubscriptions, TakenTypes, joinedTypes } from './taken-types.js';
import type { SqlRunner } from '../sql/sql.js';

interface KnownRow {
  readonly id: number;
  readonly name: string;
  readonly state: string;
  readonly is_handler: boolean;
  readonly is_served: boolean;
}

/** Known subscriptions as rows. A subscription is durable; the code that serves it comes and goes. */
export class PostgresSubscriptionStore implements SubscriptionStore {
  private readonly taken: TakenTypes;

  constructor(private readonly context: PostgresContext) {
    this.taken = new TakenTypes(context);
  }

  clearLeftovers(afterMs: number, unroute: (leftover: Leftover) => Promise<void>): Promise<void> {
    return this.taken.clear(afterMs, unroute);
  }

  takenTypes(tx: Transaction, subscriptionId: number): Promise<ReadonlySet<string>> {
    return this.taken.of(tx, subscriptionId);
  }

  register(nodeId: string, declarations: readonly SubscriptionDeclaration[]): Promise<readonly RegisteredSubscription[]> {
    return this.context.pool.transaction(async (sql) => {
      // One node at a time: two that start together must not both make the same row.
      await lockSubscriptions(sql, this.context);
      const known = await this.known(sql, nodeId);
      const registered: RegisteredSubscription[] = [];
      for (const declaration of declarations) {
        const row = await this.registerOne(sql, declaration, { nodeId, known });
        registered.push(row);
        await this.taken.note(sql, { subscriptionId: row.id, types: declaration.types, nodeId });
      }
      const served = new Set(registered.map(({ id }) => id));
      const missing = known.filter((row) => row.is_handler && row.state !== 'retired' && !row.is_served && !served.has(row.id));
      for (const { name } of missing) emit('subscription:missing', { subscription: name });
      this.context.served = [...served];
      if (missing.length > 0) throw hfError('HF_SUBSCRIPTION_MISSING', { name: missing.map(({ name }) => name).join(', ') });
      return registered;
    });
  }

  async list(): Promise<readonly SubscriptionInfo[]> {
    const t = this.context.tables;
    const { rows } = await this.context.pool.run<{
      name: string;
      types: string[];
      state: SubscriptionInfo['state'];
      backlog: string;
      oldest: number | null;
      dead: string;
    }>({
      text: `select s.name, w.types, b.backlog, b.oldest, d.dead,
               case when s.state <> 'active' then s.state when exists (select from ${t.node} n where n.id = any(s.served_by) and ${isLiving(this.context)}) then 'active' else 'missing' end as state
             from ${t.subscription} s
             ${joinedTypes(t)}
             cross join lateral (select count(o.id) as backlog, extract(epoch from clock_timestamp() - min(o.written_at)) * 1000 as oldest
               from ${t.cursor} c join ${t.lane} l on l.lane = c.lane
                 join ${t.outbox} o on o.lane = c.lane and (o.id > c.position or o.id <@ c.holes) and ${BEFORE_SWITCH} and o.type = any(w.types)
               where c.subscription_id = s.id) b
             cross join lateral (select count(*) as dead from ${t.delivery} where subscription_id = s.id and state in ('dead', 'invalid')) d
             where s.service = $1 and s.is_handler order by s.name`,
      values: [this.context.service],
    });
    return rows.map(({ name, types, state, backlog, oldest, dead }) => ({
      name,
      types,
      state,
      backlog: Number(backlog),
      oldestAgeMs: oldest === null ? undefined : Math.max(0, Math.round(Number(oldest))),
      deadLetters: Number(dead),
    }));
  }

  setState(name: string, state: 'active' | 'paused' | 'retired', action: OperatorAction): Promise<boolean> {
    const t = this.context.tables;
    return this.context.pool.transaction(async (sql) => {
      const { rows } = await sql.run<{ id: number; is_retired: boolean; nodes: string[] }>({
        text: `select s.id, s.state = 'retired' as is_retired, array(select n.id::text from ${t.node} n where n.id = any(s.served_by) and ${isLiving(this.context)}) as nodes
               from ${t.subscription} s where s.service = $1 and s.name = $2 and s.is_handler for update`,
        values: [this.context.service, name],
      });
      const [row] = rows;
      if (row === undefined) return false;
      if (row.is_retired && state !== 'retired') throw hfError('HF_SUBSCRIPTION_RETIRED', { name });
      if (state === 'retired' && row.nodes.length > 0) throw hfError('HF_SUBSCRIPTION_IN_USE', { name, nodes: row.nodes });
      await sql.run({ text: `update ${t.subscription} set state = $2 where id = $1`, values: [row.id, state] });
      if (state === 'retired') {
        // A retired subscription must not hold back the log.
        await sql.run({ text: `delete from ${t.cursor} where subscription_id = $1`, values: [row.id] });
        await buryDeliveriesOf(sql, this.context, { id: row.id, name });
      }
      await audit(sql, this.context, { ...action, action: { active: 'resume', paused: 'pause', retired: 'retire' }[state], target: name });
      return true;
    });
  }

  async paused(): Promise<ReadonlySet<string>> {
    const { rows } = await this.context.pool.run<{ name: string }>({
      text: `select name from ${this.context.tables.subscription} where service = $1 and state = 'paused'`,
      values: [this.context.service],
    });
    return new Set(rows.map(({ name }) => name));
  }

  private async known(sql: SqlRunner, nodeId: string): Promise<readonly KnownRow[]> {
    const t = this.context.tables;
    const { rows } = await sql.run<KnownRow>({
      text: `select s.id, s.name, s.state, s.is_handler, exists (select from ${t.node} n where n.id = any(s.served_by) and n.id <> $2::uuid
               and ($3::float8 is null or n.seen_at >= clock_timestamp() - $3 * interval '1 millisecond')) as is_served
             from ${t.subscription} s where s.service = $1`,
      values: [this.context.service, nodeId, this.context.silentForMs ?? null],
    });
    return rows;
  }

  private async registerOne(
    sql: SqlRunner,
    wanted: SubscriptionDeclaration,
    { nodeId, known }: { readonly nodeId: string; readonly known: readonly KnownRow[] },
  ): Promise<RegisteredSubscription> {
    const t = this.context.tables;
    const row = known.find(({ name }) => name === wanted.name) ?? known.find(({ name }) => wanted.formerly.includes(name));
    const { rows } = await sql.run<{ id: number }>(
      row === undefined
        ? {
            text: `insert into ${t.subscription} (service, name, types, ordering, is_handler, served_by) values ($1, $2, $3, $4, $5, array[$6::uuid]) returning id`,
            values: [this.context.service, wanted.name, wanted.types, wanted.ordering, wanted.isHandler, nodeId],
          }
        : {
            text: `update ${t.subscription} set name = $2, types = $3, ordering = $4, is_handler = $5,
                     state = case when state = 'retired' then 'active' else state end,
                     served_by = array(select n.id from ${t.node} n where n.id = any(served_by) and n.id <> $6::uuid) || $6::uuid
                   where id = $1 returning id`,
            values: [row.id, wanted.name, wanted.types, wanted.ordering, wanted.isHandler, nodeId],
          },
    );
    return { name: wanted.name, id: (rows[0] as { id: number }).id, isNew: row === undefined || row.state === 'retired' };
  }
}
