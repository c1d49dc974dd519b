import {
  type DeadLetter,
  type DeadLetterChoice,
  type DeadLetterFilter,
  type DeadLetterStore,
  failpoint,
  hfError,
  type OperatorAction,
  type Page,
  type Paged,
} from '@holdfast/core';
import { audit, targetOf } from '../audit.js';
import { Conditions, isRowId, pageLimit } from '../conditions.js';
import type { PostgresContext } from '../context.js';
import { goOnWithout } from '../choreography/next-part.js';
import { lockingOf, type OrderedKey } from './key-locks.js';
import { turnText } from './key-turn.js';
import { lockInTurn } from '../sql/advisory-lock.js';
import type { SqlRunner } from '../sql/sql.js';

interface LetterRow {
  readonly id: string;
  readonly subscription: string;
  readonly source: string | null;
  readonly message_id: string | null;
  readonly type: string;
  readonly key: string | null;
  readonly attempts: number;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly error_stack: string | null;
  readonly group: string;
  readonly failed_at: Date;
  readonly body: Buffer;
}

interface ChosenRow {
  readonly id: string;
  readonly subscription_id: number;
  readonly key: string | null;
  readonly ordering: 'none' | 'key';
  readonly subscription: string;
  readonly is_retired: boolean;
}

/** Keys that are busy are waited for that long, all together. */
const FREEING_MS = 2000;
/** What that has left for a key is at least so much. */
const LEAST_FREEING_MS = 10;
const LOCK_NOT_AVAILABLE = '55P03';

/** Dead letters and invalid messages of one service, as operators see and repair them. */
export class PostgresDeadLetterStore implements DeadLetterStore {
  private readonly columns: string;
  private readonly from: string;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    this.columns = `d.id, s.name as subscription, d.source, d.message_id, d.type, d.key, d.attempts, d.error_code, d.error_message, d.error_stack,
      s.name || ':' || coalesce(d.fingerprint, d.error_code, '') as "group", d.failed_at, d.body`;
    this.from = `from ${t.delivery} d join ${t.subscription} s on s.id = d.subscription_id where d.state in ('dead', 'invalid') and s.service = $1`;
  }

  async list({ limit: asked, cursor, ...filter }: DeadLetterFilter & Page): Promise<Paged<DeadLetter>> {
    const limit = pageLimit(asked);
    const where = this.where(filter);
    const { at, id } = readCursor(cursor);
    if (at !== undefined) where.and(`(d.failed_at, d.id) < (${where.bind(at)}::timestamptz, ${where.bind(id)}::bigint)`);
    const { rows } = await this.context.pool.run<LetterRow & { at: string }>({
      text: `select ${this.columns}, d.failed_at::text as at ${this.from} ${where.text} order by d.failed_at desc, d.id desc limit ${limit + 1}`,
      values: where.values,
    });
    const items = rows.slice(0, limit);
    const last = items.at(-1);
    return { items: items.map(letterOf), next: rows.length > limit && last !== undefined ? `${last.at}|${last.id}` : undefined };
  }

  async groups(filter: DeadLetterFilter): Promise<readonly { group: string; count: number; sample: DeadLetter }[]> {
    const where = this.where(filter);
    const { rows } = await this.context.pool.run<LetterRow & { count: string }>({
      text: `select * from (select distinct on ("group") *, count(*) over (partition by "group") as count
               from (select ${this.columns} ${this.from} ${where.text}) d order by "group", failed_at desc) g order by count desc, "group"`,
      values: where.values,
    });
    return rows.map((row) => ({ group: row.group, count: Number(row.count), sample: letterOf(row) }));
  }

  async get(id: string): Promise<DeadLetter | undefined> {
    if (!isRowId(id)) return undefined;
    const { rows } = await this.context.pool.run<LetterRow>({
      text: `select ${this.columns} ${this.from} and d.id = $2`,
      values: [this.context.service, id],
    });
    return rows[0] && letterOf(rows[0]);
  }

  async redrive(which: DeadLetterChoice, action: OperatorAction): Promise<number> {
    const t = this.context.tables;
    const again = `state = 'retry', attempts = 0, has_consent = true, failed_at = clock_timestamp(), next_attempt_at = clock_timestamp() + ${this.context.clock.aheadOfDatabaseMs()} * interval '1 millisecond'`;
    const chosen = await this.act(which, { ...action, name: 'redrive' }, async (sql, found) => {
      // What is due of a retired one is taken by nobody and listed nowhere.
      const chosen = found.filter(({ is_retired }) => !is_retired);
      if (chosen.length === 0)
        throw hfError('HF_DEAD_LETTER_RETIRED', { names: [...new Set(found.map(({ subscription }) => subscription))].join(', ') });
      const ids = idsOf(chosen);
      // Within an ordered key only the first may run; the others wait behind it.
      await sql.run({
        text: `update ${t.delivery} d set ${again} from ${t.subscription} s where s.id = d.subscription_id and d.id = any($1::bigint[])
               and (s.ordering = 'none' or d.key is null or not exists (
                 select from ${t.delivery} e where e.subscription_id = d.subscription_id and e.key = d.key and e.id < d.id and (e.state in ('retry', 'waiting') or e.id = any($1::bigint[]))))`,
        values: [ids],
      });
      await sql.run({
        text: `update ${t.delivery} set ${again.replace("'retry'", "'waiting'")} where id = any($1::bigint[]) and state in ('dead', 'invalid')`,
        values: [ids],
      });
      return chosen;
    });
    await this.freeLater(keysOf(chosen));
    return chosen.length;
  }

  async discard(which: DeadLetterChoice, action: OperatorAction): Promise<number> {
    const t = this.context.tables;
    const chosen = await this.act(which, { ...action, name: 'discard' }, async (sql, chosen) => {
      await sql.run({ text: `delete from ${t.delivery} where id = any($1::bigint[])`, values: [idsOf(chosen)] });
      await this.free(sql, keysOf(chosen));
      await goOnWithout(sql, this.context, chosen);
      return chosen;
    });
    await this.freeLater(keysOf(chosen));
    return chosen.length;
  }

  /** Lets the delivery go whose turn it is in each key, if it waits. Where nothing blocks, whoever ends a delivery gives on its turn; this is for the keys that do. */
  private async free(sql: SqlRunner, keys: readonly OrderedKey[]): Promise<void> {
    const t = this.context.tables;
    await sql.run({
      text: `update ${t.delivery} set state = 'retry', next_attempt_at = clock_timestamp() + $3 * interval '1 millisecond'
             where state = 'waiting' and id in (
               select t.id from unnest($1::int[], $2::text[]) k(id, key)
               cross join lateral (${turnText(t.delivery, { subscription: 'k.id', key: 'k.key', blocks: 'true' })}) t)`,
      values: [keys.map(({ subscriptionId }) => subscriptionId), keys.map(({ key }) => key), this.context.clock.aheadOfDatabaseMs()],
    });
  }

  /**
   * Once more when all of it is committed, under the lock of each key: a delivery may just have been put behind what is gone now. One key at a
   * time, because a key may be busy for as long as a handler runs; it is waited for only for a moment. What was asked for is done, so nothing of this
   * fails it: what is left undone here, by a process that dies too, `freeForgotten` finds.
   */
  private async freeLater(keys: readonly OrderedKey[]): Promise<void> {
    const each = new Map(keys.map((key) => [`${key.subscriptionId} ${key.key}`, key]));
    const { clock } = this.context;
    const endMs = clock.monotonicMs() + FREEING_MS;
    for (const key of each.values()) {
      failpoint('dead-letter:before-free');
      try {
        await this.freeWithin(Math.max(LEAST_FREEING_MS, Math.round(endMs - clock.monotonicMs())), key);
      } catch (error) {
        if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) return;
      }
    }
  }

  private freeWithin(lockMs: number, key: OrderedKey): Promise<void> {
    const work = async (sql: SqlRunner) => {
      await sql.run(lockingOf(key.subscriptionId, [key.key], this.context.nodeId));
      await this.free(sql, [key]);
    };
    return this.context.pool.transaction(work, { settings: `set local lock_timeout = ${lockMs}` });
  }

  private act(
    which: DeadLetterChoice,
    { name, ...action }: OperatorAction & { readonly name: string },
    work: (sql: SqlRunner, found: readonly ChosenRow[]) => Promise<readonly ChosenRow[]>,
  ): Promise<readonly ChosenRow[]> {
    const where = typeof which === 'string' ? this.whereId(which) : this.where(which);
    return this.context.pool.transaction(async (sql) => {
      // One person at a time, before anything is read: two that redrive one key would each see only their own letters, and let both go.
      await lockInTurn(sql, `dead letters of ${this.context.service}`);
      const { rows } = await sql.run<ChosenRow>({
        text: `select d.id, d.subscription_id, d.key, s.ordering, s.name as subscription, s.state = 'retired' as is_retired ${this.from} ${where.text} order by d.id for update of d for key share of s`,
        values: where.values,
      });
      if (rows.length === 0) return rows;
      const chosen = await work(sql, rows);
      await audit(sql, this.context, { ...action, action: name, target: targetOf(which, chosen.length) });
      return chosen;
    });
  }

  private whereId(id: string): Conditions {
    const where = new Conditions(this.context.service);
    where.and(isRowId(id) ? `d.id = ${where.bind(id)}::bigint` : 'false');
    return where;
  }

  private where(filter: DeadLetterFilter): Conditions {
    const where = new Conditions(this.context.service);
    const { subscription, type, key, code, group, since, until } = filter;
    if (subscription !== undefined) where.and(`s.name = ${where.bind(subscription)}`);
    if (type !== undefined) where.and(`d.type = ${where.bind(type)}`);
    if (key !== undefined) where.and(`d.key = ${where.bind(key)}`);
    if (code !== undefined) where.and(`d.error_code = ${where.bind(code)}`);
    if (group !== undefined) where.and(`s.name || ':' || coalesce(d.fingerprint, d.error_code, '') = ${where.bind(group)}`);
    if (since !== undefined) where.and(`d.failed_at >= ${where.bind(since)}`);
    if (until !== undefined) where.and(`d.failed_at < ${where.bind(until)}`);
    return where;
  }
}

function idsOf(rows: readonly ChosenRow[]): readonly string[] {
  return rows.map(({ id }) => id);
}

/** Only those that have an order: of the others nothing waits. */
function keysOf(rows: readonly ChosenRow[]): readonly OrderedKey[] {
  return rows.flatMap(({ subscription_id, key, ordering }) =>
    key === null || ordering === 'none' ? [] : [{ subscriptionId: subscription_id, key }],
  );
}

function readCursor(cursor: string | undefined): { at?: string; id?: string } {
  if (cursor === undefined) return {};
  const [at, id] = cursor.split('|');
  if (at === undefined || id === undefined || Number.isNaN(Date.parse(at)) || !isRowId(id))
    throw hfError('HF_OPERATOR_PAGE', { what: 'cursor', value: cursor });
  return { at, id };
}

function letterOf(row: LetterRow): DeadLetter {
  return {
    id: row.id,
    subscription: row.subscription,
    message: { id: row.message_id ?? '', source: row.source ?? '', type: row.type, key: row.key ?? undefined },
    attempts: row.attempts,
    error: { code: row.error_code ?? '', message: row.error_message ?? '', stack: row.error_stack ?? undefined },
    group: row.group,
    deadAt: row.failed_at,
    body: row.body,
  };
}
