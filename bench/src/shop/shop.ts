import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { inParallel, until } from '../runner/wait.js';

/** Callers that place orders at once. */
export const CALLERS = 32;
/** Connections of a service, ours or by hand: one per caller, and as many handlers as a subscription has by default, with some to spare. */
export const POOL_SIZE = 48;
/** Handlers at work at once: the default of a subscription. */
export const HANDLERS = 10;
/** Longest time a case waits for messages. */
const TIMEOUT_MS = 300_000;

/** The tables of the business, the same on both sides. Payments have no unique order, so that a second effect would show. */
const TABLES = `
  create table orders (id uuid primary key, total integer not null);
  create table payment (id bigint generated always as identity primary key, order_id uuid not null, total integer not null)`;

/** An order to place. */
export interface Order {
  readonly id: string;
  readonly total: number;
}

/** Makes an order nobody has placed yet. */
export function newOrder(): Order {
  return { id: randomUUID(), total: 42 };
}

/** A service that takes orders and pays them, by whatever means. */
export interface Shop {
  /** Payments made in this process. */
  readonly handled: number;
  /** Stores the order and its message in one transaction. */
  place(order: Order): Promise<unknown>;
}

/** Looks at a shop's database from outside. */
export class Ledger {
  private readonly pool: Pool;

  constructor(readonly url: string) {
    this.pool = new Pool({ connectionString: url, max: 2 });
    this.pool.on('error', () => undefined);
  }

  async createTables(): Promise<void> {
    await this.pool.query(TABLES);
  }

  async query<Row extends object = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(sql, values)).rows;
  }

  async payments(): Promise<number> {
    const [row] = await this.query<{ n: string }>('select count(*) as n from payment');
    return Number(row?.n);
  }

  /** Every order has exactly one payment, and there are `orders` of them. @throws when not */
  async check(orders: number): Promise<void> {
    const [row] = await this.query<{ orders: string; payments: string; paid: string; foreign: string }>(
      `select (select count(*) from orders) as orders, count(*) as payments, count(distinct p.order_id) as paid,
         count(*) filter (where o.id is null) as foreign
       from payment p left join orders o on o.id = p.order_id`,
    );
    const found = `${row?.orders} orders, ${row?.payments} payments of ${row?.paid} orders, ${row?.foreign} of none; expected ${orders}`;
    const isRight = Number(row?.orders) === orders && Number(row?.payments) === orders && Number(row?.paid) === orders;
    if (!isRight || Number(row?.foreign) > 0) throw new Error(`wrong data: ${found}`);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

/** Places `count` orders with all callers and waits until they are paid; answers orders per second. */
export async function placeAndPay(shop: Shop, ledger: Ledger, count: number): Promise<number> {
  const [handled, paid] = [shop.handled, await ledger.payments()];
  const startedMs = performance.now();
  await inParallel(count, CALLERS, () => shop.place(newOrder()));
  return rate(count, startedMs, () => allPaid(shop, ledger, { handled: handled + count, paid: paid + count }));
}

/** Waits for work that was started, and answers with its rate per second. */
export async function rate(count: number, startedMs: number, done: () => Promise<void>): Promise<number> {
  await done();
  return (count / (performance.now() - startedMs)) * 1000;
}

/** Waits until the process has handled so many, then until as many payments are committed: looking at the table all the time would cost. */
export async function allPaid(shop: Shop, ledger: Ledger, { handled, paid }: { handled: number; paid: number }): Promise<void> {
  await until('all orders handled', TIMEOUT_MS, () => shop.handled >= handled);
  await until('all payments committed', TIMEOUT_MS, async () => (await ledger.payments()) >= paid);
}
