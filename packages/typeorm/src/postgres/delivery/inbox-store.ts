import { randomUUID } from 'node:crypto';
import {
  type ClaimEnd,
  type ClaimTerm,
  hfError,
  type InboxClaim,
  type InboxKey,
  type InboxStore,
  type Memory,
  type Recalled,
  type RememberedRequest,
  type RequestMemory,
  type Transaction,
} from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { prepared } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** Longest wait for another transaction with the same key: it has the message in work, and a connection is worth more than the answer. */
const WAIT_MS = 2000;
const LOCK_NOT_AVAILABLE = '55P03';

/** For a single message. */
const ALL_NEW: readonly boolean[] = [true];

/** What a claim finds, or makes. */
interface ClaimRow {
  readonly status: string;
  readonly result: string | null;
  readonly token: string;
  readonly ms: number | null;
}

interface ResultKey {
  readonly subscriptionId: number;
  readonly key: InboxKey;
}

/** Remembered deliveries in PostgreSQL. Business rows and the memory of the message commit together. */
export class PostgresInboxStore implements InboxStore {
  private readonly rememberOne;
  private readonly rememberMany;
  private readonly look;
  private readonly rememberLeft;
  private readonly keepStatement;
  private readonly recallStatement;
  private readonly cancelOne;
  private readonly lookStatement;
  private readonly cancelStatement;
  private readonly undoStatement;
  private readonly refuseStatement;
  private readonly claimStatement: string;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    const expires = `clock_timestamp() + $4 * interval '1 millisecond'`;
    // The wait for another transaction with the same key is bounded in the very statement that waits, and what the business has set is put back.
    const bounded = `b as materialized (select current_setting('lock_timeout') as old, set_config('lock_timeout', '${WAIT_MS}', true))`;
    // The same without an answer to make: PostgreSQL takes one row after the other, so the second, which is none, puts back what the first has set.
    const insertOne = (status: 'done' | 'cancelled') =>
      prepared(
        `insert into ${t.inbox} (subscription_id, source, message_id, status, expires_at)
         select $1::integer, $2, $3, '${status}', ${expires} from (values (true), (false)) step(is_first)
         where case when is_first
           then set_config('holdfast.lock_timeout', current_setting('lock_timeout'), true) is not null and set_config('lock_timeout', '${WAIT_MS}', true) is not null
           else set_config('lock_timeout', current_setting('holdfast.lock_timeout'), true) is null end
         on conflict do nothing`,
      );
    this.rememberOne = insertOne('done');
    this.cancelOne = insertOne('cancelled');
    this.rememberMany = prepared(
      `with ${bounded},
       i as (insert into ${t.inbox} (subscription_id, source, message_id, expires_at)
         select $1, k.source, k.id, ${expires} from b cross join unnest($2::text[], $3::text[]) k(source, id) on conflict do nothing
         returning source, message_id)
       select n.sources, n.ids, set_config('lock_timeout', b.old, true)
       from (select coalesce(array_agg(source), '{}') as sources, coalesce(array_agg(message_id), '{}') as ids from i) n cross join b`,
    );
    this.look = prepared(
      `select i.source, i.message_id as id, i.status, i.status = 'claimed' and i.lease_until <= clock_timestamp() + $4 * interval '1 millisecond' as is_left from unnest($2::text[], $3::text[]) k(source, id)
       join ${t.inbox} i on i.subscription_id = $1 and i.source = k.source and i.message_id = k.id`,
    );
    this.rememberLeft = prepared(
      `update ${t.inbox} i set status = 'done', owner_token = null, lease_until = null, expires_at = clock_timestamp() + ($4::float8 + $5::float8) * interval '1 millisecond'
       from (select i.source, i.message_id from unnest($2::text[], $3::text[]) k(source, id)
         join ${t.inbox} i on i.subscription_id = $1 and i.source = k.source and i.message_id = k.id
         where i.status = 'claimed' and i.lease_until <= clock_timestamp() + $4 * interval '1 millisecond' for update of i skip locked) l
       where i.subscription_id = $1 and i.source = l.source and i.message_id = l.message_id returning i.source, i.message_id as id`,
    );
    const here = `subscription_id = $1 and source = $2 and message_id = $3`;
    this.keepStatement = prepared(`update ${t.inbox} set result = $4 where ${here} and status = 'done'`);
    this.cancelStatement = prepared(`update ${t.inbox} set status = 'cancelled' where ${here} and status = 'done'`);
    this.recallStatement = prepared(
      `select status = 'done' as is_done, status in ('cancelled', 'compensated') as is_undone, result from ${t.inbox} where ${here}`,
    );
    this.lookStatement = prepared(
      `select case when status = 'claimed' and lease_until <= clock_timestamp() + $4 * interval '1 millisecond' then 'begun'
         when status = 'compensated' and owner_token is not null then 'undoing' else status end as memory
       from ${t.inbox} where ${here} for update skip locked`,
    );
    // Whoever had a claim has it no more.
    this.undoStatement = prepared(
      `update ${t.inbox} set status = 'compensated', owner_token = case when $5 then null else gen_random_uuid() end, lease_until = null, result = null,
         expires_at = ${expires} where ${here}`,
    );
    this.refuseStatement = prepared(`update ${t.inbox} set result = $4 where ${here} and status = 'cancelled'`);
    this.claimStatement = claimText(t.inbox);
  }

  async remember(tx: Transaction, memory: Memory): Promise<readonly boolean[]> {
    const { keys } = memory;
    const isNew = await this.insert(tx, memory);
    if (keys.length === 1 && isNew.size === 1) return ALL_NEW;
    const known = keys.filter((key) => !isNew.has(idOf(key)));
    const left = new Set(isNew);
    if (known.length > 0) for (const key of await this.takeOver(tx, memory, known)) left.add(idOf(key));
    // A batch may hold one message twice: only its first copy is new.
    return keys.map((key) => left.delete(idOf(key)));
  }

  async claim({ subscriptionId, key, leaseMs, ttlMs }: Omit<ClaimTerm, 'token'> & { readonly ttlMs: number }): Promise<InboxClaim> {
    const token = randomUUID();
    const values = [subscriptionId, key.source, key.id, leaseMs, ttlMs + this.ahead(), token, this.ahead()];
    let rows: readonly ClaimRow[];
    try {
      ({ rows } = await this.context.pool.run<ClaimRow>({ text: this.claimStatement, values }));
    } catch (error) {
      // Whoever finished or renews it has not committed: the claim holds as long as that is open.
      if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return { state: 'held', forMs: WAIT_MS };
      throw error;
    }
    const [row] = rows;
    if (row === undefined) throw hfError('HF_INVARIANT', { fact: 'a claim gave no row' });
    if (row.status === 'claimed')
      return row.token === token ? { state: 'claimed', token } : { state: 'held', forMs: Math.max(1, Math.ceil(Number(row.ms))) };
    return { state: row.status === 'done' ? 'done' : 'undone', result: row.result ?? undefined };
  }

  async renew({ subscriptionId, key, token, leaseMs }: ClaimTerm): Promise<void> {
    const { rowCount } = await this.context.pool.run({
      text: `update ${this.context.tables.inbox} set lease_until = clock_timestamp() + $5 * interval '1 millisecond'
             where subscription_id = $1 and source = $2 and message_id = $3 and owner_token = $4::uuid and status = 'claimed'`,
      values: [subscriptionId, key.source, key.id, token, leaseMs + this.ahead()],
    });
    if (rowCount === 0) throw hfError('HF_LEASE_LOST', { resource: `the claim of ${key.id}` });
  }

  async finish({ subscriptionId, key, token, done, isBegun = false }: ClaimEnd, tx?: Transaction): Promise<void> {
    const where = `where subscription_id = $1 and source = $2 and message_id = $3 and owner_token = $4::uuid and status = 'claimed'`;
    const values = [subscriptionId, key.source, key.id, token];
    const { inbox } = this.context.tables;
    const sql = tx === undefined ? this.context.pool : sqlOf(tx);
    const left = `update ${inbox} set lease_until = clock_timestamp() + $5 * interval '1 millisecond' ${where}`;
    const givenBack = isBegun ? { text: left, values: [...values, this.ahead()] } : { text: `delete from ${inbox} ${where}`, values };
    const { rowCount } = await sql.run(
      done === undefined
        ? givenBack
        : {
            text: `update ${inbox} set status = 'done', owner_token = null, lease_until = null, result = $5 ${where}`,
            values: [...values, done.result ?? null],
          },
    );
    if (rowCount === 0) throw hfError('HF_LEASE_LOST', { resource: `the claim of ${key.id}` });
  }

  async keep(tx: Transaction, { subscriptionId, key, result }: ResultKey & { readonly result: string }): Promise<void> {
    const { rowCount } = await sqlOf(tx).run(this.keepStatement(subscriptionId, key.source, key.id, result));
    if (rowCount !== 1) throw hfError('HF_INVARIANT', { fact: `a result was kept beside ${rowCount} keys` });
  }

  async recall(tx: Transaction, { subscriptionId, key }: ResultKey): Promise<Recalled> {
    const { rows } = await sqlOf(tx).run<{ is_done: boolean; is_undone: boolean; result: string | null }>(
      this.recallStatement(subscriptionId, key.source, key.id),
    );
    return { isDone: rows[0]?.is_done ?? false, isUndone: rows[0]?.is_undone ?? false, result: rows[0]?.result ?? undefined };
  }

  async guard(tx: Transaction, { subscriptionId, key, keepMs }: RememberedRequest): Promise<RequestMemory> {
    const sql = sqlOf(tx);
    try {
      const { rowCount } = await sql.run(this.cancelOne(subscriptionId, key.source, key.id, keepMs + this.ahead()));
      if (rowCount === 1) return 'none';
    } catch (error) {
      throw (error as { code?: unknown }).code === LOCK_NOT_AVAILABLE ? inProgress([key], error) : error;
    }
    const { rows } = await sql.run<{ memory: RequestMemory }>(this.lookStatement(subscriptionId, key.source, key.id, this.ahead()));
    // Somebody is changing it just now, or it was a claim that is gone again.
    if (rows[0] === undefined) throw inProgress([key]);
    return rows[0].memory;
  }

  async cancel(tx: Transaction, { subscriptionId, key }: ResultKey): Promise<void> {
    const { rowCount } = await sqlOf(tx).run(this.cancelStatement(subscriptionId, key.source, key.id));
    if (rowCount !== 1) throw hfError('HF_INVARIANT', { fact: `a request that is dropped is remembered ${rowCount} times` });
  }

  async undo(tx: Transaction, { subscriptionId, key, keepMs, isDone }: RememberedRequest & { readonly isDone: boolean }): Promise<void> {
    const { rowCount } = await sqlOf(tx).run(this.undoStatement(subscriptionId, key.source, key.id, keepMs + this.ahead(), isDone));
    if (rowCount !== 1) throw hfError('HF_INVARIANT', { fact: `a request that was undone is remembered ${rowCount} times` });
  }

  async refuse(tx: Transaction, { subscriptionId, key, result }: RememberedRequest & { readonly result: string }): Promise<void> {
    const refused = this.refuseStatement(subscriptionId, key.source, key.id, result);
    const { rowCount } = await sqlOf(tx).run(refused);
    if (rowCount !== 1) throw hfError('HF_INVARIANT', { fact: `a request that was refused is remembered ${rowCount} times` });
  }

  async trim(limit: number): Promise<number> {
    const { inbox } = this.context.tables;
    const { rowCount } = await this.context.pool.run({
      text: `delete from ${inbox} where ctid = any(array(
               select ctid from ${inbox} where expires_at < clock_timestamp() + $2 * interval '1 millisecond'
                 and (status <> 'claimed' or lease_until <= clock_timestamp() + $2 * interval '1 millisecond') limit $1))`,
      values: [limit, this.ahead()],
    });
    return rowCount;
  }

  /** Sorted, so that two nodes with the same messages wait for each other instead of deadlocking. */
  private async insert(tx: Transaction, { subscriptionId, keys, ttlMs }: Memory): Promise<Set<string>> {
    const unique =
      keys.length === 1 ? keys : [...new Map(keys.map((key) => [idOf(key), key])).values()].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
    const [only] = unique;
    const sql = sqlOf(tx);
    try {
      if (unique.length === 1 && only !== undefined) {
        const { rowCount } = await sql.run(this.rememberOne(subscriptionId, only.source, only.id, ttlMs + this.ahead()));
        return new Set(rowCount === 1 ? [idOf(only)] : []);
      }
      const sources = unique.map(({ source }) => source);
      const ids = unique.map(({ id }) => id);
      const { rows } = await sql.run<{ sources: string[]; ids: string[] }>(
        this.rememberMany(subscriptionId, sources, ids, ttlMs + this.ahead()),
      );
      return new Set(rows.flatMap((row) => row.ids.map((id, index) => idOf({ source: row.sources[index] as string, id }))));
    } catch (error) {
      throw (error as { code?: unknown }).code === LOCK_NOT_AVAILABLE ? inProgress(keys, error) : error;
    }
  }

  /**
   * A conflict says that a row is there, not what it means: a claim still in work is waited for, and one whose lease has ended is ours now, as a
   * claim would take it over. Those that are.
   */
  private async takeOver(tx: Transaction, memory: Memory, keys: readonly InboxKey[]): Promise<readonly InboxKey[]> {
    const sql = sqlOf(tx);
    const args = [memory.subscriptionId, keys.map(({ source }) => source), keys.map(({ id }) => id), this.ahead()];
    const { rows } = await sql.run<InboxKey & { status: string; is_left: boolean }>(this.look(...args));
    // A row that is gone again was a claim that was given back, which handled nothing.
    const handled = new Set(rows.filter(({ status }) => status !== 'claimed').map(idOf));
    const open = new Map(keys.filter((key) => !handled.has(idOf(key))).map((key) => [idOf(key), key]));
    if (open.size === 0) return [];
    const isAnyLeft = rows.some(({ is_left }) => is_left);
    const taken = isAnyLeft ? (await sql.run<InboxKey>(this.rememberLeft(...args, memory.ttlMs))).rows : [];
    for (const key of taken) open.delete(idOf(key));
    if (open.size > 0) throw inProgress([...open.values()]);
    return taken;
  }

  private ahead(): number {
    return this.context.clock.aheadOfDatabaseMs();
  }
}

/** The same only for the same key: neither part can have a NUL in it. */
function idOf({ source, id }: InboxKey): string {
  return `${source}\0${id}`;
}

function inProgress(keys: readonly InboxKey[], cause?: unknown): Error {
  return hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: keys.map(({ id }) => id).join(', ') }, { cause });
}

/** One statement that takes a claim. What is not to be had is only read: whoever finished it may have its row for long, and a wait for that costs a connection. */
function claimText(inbox: string): string {
  const isLeft = `i.status = 'claimed' and i.lease_until <= clock_timestamp() + $7::float8 * interval '1 millisecond'`;
  const takes = Object.entries({
    owner_token: 'excluded.owner_token',
    lease_until: 'excluded.lease_until',
    expires_at: 'greatest(i.expires_at, excluded.expires_at)',
  }).map(([column, value]) => `${column} = case when ${isLeft} then ${value} else i.${column} end`);
  return `
    with seen as materialized (select i.status, i.result, i.owner_token, i.lease_until from ${inbox} i
       where i.subscription_id = $1 and i.source = $2 and i.message_id = $3 and not (${isLeft})),
     b as materialized (select set_config('lock_timeout', '${WAIT_MS}', true) where not exists (select from seen)),
     taken as (insert into ${inbox} as i (subscription_id, source, message_id, status, expires_at, owner_token, lease_until)
       select $1::integer, $2::text, $3::text, 'claimed', clock_timestamp() + $5::float8 * interval '1 millisecond', $6::uuid,
         clock_timestamp() + ($4::float8 + $7::float8) * interval '1 millisecond' from b
       on conflict (subscription_id, source, message_id) do update set ${takes.join(', ')}
       returning i.status, i.result, i.owner_token, i.lease_until)
    select status, result, owner_token as token, extract(epoch from lease_until - clock_timestamp()) * 1000 - $7::float8 as ms
    from (select * from seen union all select * from taken) one`;
}
