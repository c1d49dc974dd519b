import { Pool, type PoolClient } from 'pg';
import { SAGAS_AT_ONCE, type SagaShop, type SagaState } from '../shop/saga-shop.js';
import { type Order, POOL_SIZE } from '../shop/shop.js';
import { inTransaction } from './in-transaction.js';

const TABLE = `
  create table saga (id uuid primary key, status text not null, step integer not null, state text not null, failure text,
    updated_at timestamptz not null default now());
  create index on saga (updated_at) where status in ('running', 'undoing')`;

/** What is not touched for so long was left behind by a process that died. */
const LEFT_BEHIND_S = 10;
const SWEEP_MS = 1000;

/** All statements are prepared once per connection. */
const SQL = {
  start: { name: 'start', text: `insert into saga (id, status, step, state) values ($1, 'running', 0, $2) on conflict do nothing` },
  lock: { name: 'lock', text: 'select status, step, state from saga where id = $1 for update skip locked' },
  move: { name: 'move', text: 'update saga set status = $2, step = $3, failure = coalesce($4, failure), updated_at = now() where id = $1' },
  look: { name: 'look', text: 'select status, state, failure from saga where id = $1' },
  leftBehind: {
    name: 'left-behind',
    text: `select id from saga where status in ('running', 'undoing') and updated_at < now() - $1 * interval '1 second' limit 100`,
  },
  reserve: { name: 'reserve', text: 'insert into reservation (order_id, total) values ($1, $2)' },
  release: { name: 'release', text: 'delete from reservation where order_id = $1' },
  charge: { name: 'charge', text: 'insert into charge (order_id, total) values ($1, $2)' },
  refund: { name: 'refund', text: 'delete from charge where order_id = $1' },
  ship: { name: 'ship', text: 'insert into shipment (order_id, total) values ($1, $2)' },
} as const;

const STEPS = [SQL.reserve, SQL.charge, SQL.ship] as const;
const UNDOS = [SQL.release, SQL.refund] as const;

/** A step that fails for good. */
class Refused extends Error {}

interface SagaRow {
  readonly status: 'running' | 'undoing' | 'done' | 'undone';
  readonly step: number;
  readonly state: string;
}

/**
 * The reference for sagas: what a careful developer writes on plain pg. One row an instance, one transaction a step, which locks the row, does the
 * work and moves the row; what a process left behind is found by a look once a second. There is no history, no time-out and no operator.
 */
export class HandSagas implements SagaShop {
  ended = 0;
  private readonly pool: Pool;
  private readonly queue: string[] = [];
  private readonly waiting = new Map<string, () => void>();
  private readonly working = new Set<Promise<void>>();
  private readonly sweep: NodeJS.Timeout;

  constructor(url: string) {
    this.pool = new Pool({ connectionString: url, max: POOL_SIZE, idleTimeoutMillis: 0 });
    this.sweep = setInterval(() => void this.lookForLeftBehind().catch(console.error), SWEEP_MS);
  }

  async createTables(): Promise<void> {
    await this.pool.query(TABLE);
  }

  async start({ id, total }: Order, isRefused: boolean): Promise<void> {
    const state: SagaState = { total, isRefused };
    await inTransaction(this.pool, (client) => client.query({ ...SQL.start, values: [id, JSON.stringify(state)] }));
    this.queue.push(id);
    this.work();
  }

  async startAndWait(order: Order, isRefused: boolean): Promise<unknown> {
    const ended = new Promise<void>((resolve) => this.waiting.set(order.id, resolve));
    await this.start(order, isRefused);
    await ended;
    return (await this.pool.query({ ...SQL.look, values: [order.id] })).rows[0];
  }

  async close(): Promise<void> {
    clearInterval(this.sweep);
    while (this.working.size > 0) await Promise.all(this.working);
    await this.pool.end();
  }

  private work(): void {
    if (this.working.size >= SAGAS_AT_ONCE) return;
    const id = this.queue.shift();
    if (id === undefined) return;
    const working = this.toEnd(id).finally(() => {
      this.working.delete(working);
      this.work();
    });
    this.working.add(working);
  }

  private async toEnd(id: string): Promise<void> {
    let failure: string | undefined;
    for (;;) {
      try {
        if (await inTransaction(this.pool, (client) => this.next(client, id, failure))) break;
        failure = undefined;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        failure = error.message;
      }
    }
    this.ended += 1;
    this.waiting.get(id)?.();
    this.waiting.delete(id);
  }

  /** One step of one instance; whether it was the last. @param failure of the step at hand, whose transaction was rolled back */
  private async next(client: PoolClient, id: string, failure: string | undefined): Promise<boolean> {
    const { rows } = await client.query<SagaRow>({ ...SQL.lock, values: [id] });
    const [row] = rows;
    if (row === undefined || row.status === 'done' || row.status === 'undone') return true;
    const { step } = row;
    const { total, isRefused } = JSON.parse(row.state) as SagaState;
    if (row.status === 'undoing' || failure !== undefined) {
      await client.query({ ...(UNDOS[step - 1] as (typeof UNDOS)[number]), values: [id] });
      await client.query({ ...SQL.move, values: [id, step === 1 ? 'undone' : 'undoing', step - 1, failure] });
      return step === 1;
    }
    await client.query({ ...(STEPS[step] as (typeof STEPS)[number]), values: [id, total] });
    const isLast = step === STEPS.length - 1;
    if (isLast && isRefused) throw new Refused('refused');
    await client.query({ ...SQL.move, values: [id, isLast ? 'done' : 'running', step + 1, null] });
    return isLast;
  }

  private async lookForLeftBehind(): Promise<void> {
    const { rows } = await this.pool.query<{ id: string }>({ ...SQL.leftBehind, values: [LEFT_BEHIND_S] });
    this.queue.push(...rows.map(({ id }) => id));
    this.work();
  }
}
