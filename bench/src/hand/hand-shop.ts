import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import { inParallel } from '../runner/wait.js';
import { inTransaction } from './in-transaction.js';
import { HANDLERS, type Order, POOL_SIZE, type Shop } from '../shop/shop.js';

/** The tables an outbox by hand needs. */
export const OUTBOX_AND_INBOX = `
  create table outbox (id bigint generated always as identity primary key, message_id uuid not null, type text not null, key text, body text not null);
  create table inbox (consumer text not null, message_id uuid not null, handled_at timestamptz not null default now(), primary key (consumer, message_id))`;

/** Between two looks of a poller that are not full. */
export const POLL_MS = 5;
/** Rows a poller claims at a time. */
export const POLL_LIMIT = 500;
/** As which the inbox knows whoever pays. */
export const CONSUMER = 'payment.pay';

/** All statements are prepared once per connection. */
export const SQL = {
  order: { name: 'order', text: 'insert into orders (id, total) values ($1, $2)' },
  outbox: { name: 'outbox', text: 'insert into outbox (message_id, type, key, body) values ($1, $2, $3, $4)' },
  claim: { name: 'claim', text: 'select id, message_id, body from outbox order by id limit $1 for update skip locked' },
  inbox: { name: 'inbox', text: 'insert into inbox (consumer, message_id) values ($1, $2) on conflict do nothing' },
  inboxAll: {
    name: 'inbox-all',
    text: 'insert into inbox (consumer, message_id) select $1, id from unnest($2::uuid[]) id on conflict do nothing returning message_id',
  },
  payment: { name: 'payment', text: 'insert into payment (order_id, total) values ($1, $2)' },
  delete: { name: 'delete', text: 'delete from outbox where id = any($1::bigint[])' },
} as const;

/** Statements of one open transaction. */
export interface Sql {
  query<Row extends object>(statement: {
    readonly name?: string;
    readonly text: string;
    readonly values: unknown[];
  }): Promise<{
    readonly rows: Row[];
    readonly rowCount: number | null;
  }>;
}

/** What waits in the outbox. */
export interface OutboxRow {
  readonly id: string;
  readonly message_id: string;
  readonly body: string;
}

/**
 * The reference: what a careful developer writes on plain pg. Orders and their outbox rows share a transaction; a poller claims rows, hands each
 * to a worker that writes inbox row and payment in one transaction, and deletes the batch. At least once, one effect.
 */
export class HandShop implements Shop {
  handled = 0;
  private readonly pool: Pool;
  private polling: Promise<void> | undefined;
  private isStopped = false;

  constructor(url: string) {
    this.pool = new Pool({ connectionString: url, max: POOL_SIZE, idleTimeoutMillis: 0 });
  }

  async createTables(): Promise<void> {
    await this.pool.query(OUTBOX_AND_INBOX);
  }

  async place({ id, total }: Order): Promise<void> {
    await this.inTransaction(async (client) => {
      await client.query({ ...SQL.order, values: [id, total] });
      await client.query({ ...SQL.outbox, values: [randomUUID(), 'order.placed', id, JSON.stringify({ orderId: id, total })] });
    });
  }

  /** Many in one transaction, for filling the outbox. */
  async placeAll(orders: readonly Order[]): Promise<void> {
    const bodies = orders.map(({ id, total }) => JSON.stringify({ orderId: id, total }));
    await this.inTransaction(async (client) => {
      const ids = orders.map(({ id }) => id);
      await client.query({ text: 'insert into orders (id, total) select id, 42 from unnest($1::uuid[]) id', values: [ids] });
      await client.query({
        text: `insert into outbox (message_id, type, key, body)
         select gen_random_uuid(), 'order.placed', key, body from unnest($1::text[], $2::text[]) row(key, body)`,
        values: [ids, bodies],
      });
    });
  }

  /** One poller for all: every 5 ms, or at once when the last poll took longer. */
  startPolling(): void {
    this.isStopped = false;
    this.polling = this.poll();
  }

  async stopPolling(): Promise<void> {
    this.isStopped = true;
    await this.polling;
  }

  /** Works off a full outbox in batches: each worker claims, remembers, handles and deletes in one transaction. */
  async drain(batchSize: number): Promise<void> {
    await Promise.all(
      Array.from({ length: HANDLERS }, async () => {
        while ((await this.inTransaction((client) => this.handleBatch(client, batchSize))) > 0);
      }),
    );
  }

  async close(): Promise<void> {
    await this.stopPolling();
    await this.pool.end();
  }

  private async poll(): Promise<void> {
    while (!this.isStopped) {
      const startedMs = performance.now();
      const count = await this.inTransaction((client) => this.pollOnce(client));
      const leftMs = POLL_MS - (performance.now() - startedMs);
      if (count < POLL_LIMIT && leftMs > 0) await sleep(leftMs);
    }
  }

  protected async pollOnce(client: Sql): Promise<number> {
    const { rows } = await client.query<OutboxRow>({ ...SQL.claim, values: [POLL_LIMIT] });
    if (rows.length === 0) return 0;
    await inParallel(rows.length, HANDLERS, (index) => this.handle(rows[index] as OutboxRow));
    await client.query({ ...SQL.delete, values: [rows.map(({ id }) => id)] });
    return rows.length;
  }

  private async handle(row: OutboxRow): Promise<void> {
    await this.inTransaction(async (client) => {
      const { rowCount } = await client.query({ ...SQL.inbox, values: [CONSUMER, row.message_id] });
      if (rowCount === 1) await this.pay(client, row);
    });
  }

  private async handleBatch(client: Sql, batchSize: number): Promise<number> {
    const { rows } = await client.query<OutboxRow>({ ...SQL.claim, values: [batchSize] });
    if (rows.length === 0) return 0;
    const fresh = await client.query<{ message_id: string }>({ ...SQL.inboxAll, values: [CONSUMER, rows.map((row) => row.message_id)] });
    const isNew = new Set(fresh.rows.map((row) => row.message_id));
    for (const row of rows) if (isNew.has(row.message_id)) await this.pay(client, row);
    await client.query({ ...SQL.delete, values: [rows.map(({ id }) => id)] });
    return rows.length;
  }

  /** Messages that a broker gave, by id, in one transaction. */
  protected async payAll(bodies: ReadonlyMap<string, string>): Promise<void> {
    await this.inTransaction(async (client) => {
      for (const id of await this.remember(client, [...bodies.keys()])) await this.pay(client, { body: bodies.get(id) as string });
    });
  }

  /** Those that are new. */
  private async remember(client: Sql, ids: readonly string[]): Promise<readonly string[]> {
    if (ids.length > 1) {
      const { rows } = await client.query<{ message_id: string }>({ ...SQL.inboxAll, values: [CONSUMER, ids] });
      return rows.map(({ message_id }) => message_id);
    }
    const { rowCount } = await client.query({ ...SQL.inbox, values: [CONSUMER, ids[0]] });
    return rowCount === 1 ? ids : [];
  }

  protected async pay(client: Sql, { body }: { readonly body: string }): Promise<void> {
    const { orderId, total } = JSON.parse(body) as { orderId: string; total: number };
    await client.query({ ...SQL.payment, values: [orderId, total] });
    this.handled += 1;
  }

  protected inTransaction<T>(work: (client: Sql) => Promise<T>): Promise<T> {
    return inTransaction(this.pool, work);
  }
}
