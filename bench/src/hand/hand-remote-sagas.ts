import type { PoolClient } from 'pg';
import { queuesIn } from '../runner/rabbit.js';
import type { RemotePlaces } from '../shop/nest-remote-sagas.js';
import type { RemoteState, SagaShop } from '../shop/saga-shop.js';
import { HANDLERS, type Order } from '../shop/shop.js';
import { HandRabbitService } from './hand-rabbit-service.js';
import { inTransaction } from './in-transaction.js';

const TABLE = `
  create table saga (id uuid primary key, status text not null, step integer not null, state text not null, updated_at timestamptz not null default now())`;

/** All statements are prepared once per connection. */
const SQL = {
  start: { name: 'start', text: `insert into saga (id, status, step, state) values ($1, 'waiting', 0, $2) on conflict do nothing` },
  lock: { name: 'lock', text: 'select status, step, state from saga where id = $1 for update' },
  move: { name: 'move', text: 'update saga set status = $2, step = $3, state = $4, updated_at = now() where id = $1' },
  look: { name: 'look', text: 'select status, state from saga where id = $1' },
} as const;

/** What each step asks for, where its reply is kept, and what the partner writes. */
const STEPS = [
  { into: 'reservation', effect: { name: 'reserve', text: 'insert into reservation (order_id, total) values ($1, $2)' } },
  { into: 'charge', effect: { name: 'charge', text: 'insert into charge (order_id, total) values ($1, $2)' } },
  { into: 'shipment', effect: { name: 'ship', text: 'insert into shipment (order_id, total) values ($1, $2)' } },
] as const;

interface Request {
  readonly id: string;
  readonly step: number;
  readonly total: number;
}

interface Reply {
  readonly id: string;
  readonly step: number;
  readonly reference: string;
}

interface SagaRow {
  readonly status: 'waiting' | 'done';
  readonly step: number;
  readonly state: string;
}

/**
 * The reference for remote steps: what a careful developer writes on plain pg and amqplib. The start and each reply leave the next request with the
 * commit that moves the row; the partner answers in the transaction of its work. There is no history, no time-out, no undoing and no operator.
 */
export class HandRemoteSagas implements SagaShop {
  ended = 0;
  private readonly waiting = new Map<string, () => void>();

  private constructor(
    private readonly shop: HandRabbitService,
    private readonly partner: HandRabbitService,
  ) {}

  static async open({ shop, partner, rabbit }: RemotePlaces): Promise<HandRemoteSagas> {
    const sagas = new HandRemoteSagas(new HandRabbitService(shop, rabbit), new HandRabbitService(partner, rabbit));
    const { requests, replies } = queuesIn(rabbit);
    await sagas.shop.pool.query(TABLE);
    await sagas.partner.open({
      queue: requests,
      takes: 'request',
      // As the handlers of three commands together.
      atOnce: STEPS.length * HANDLERS,
      handle: (client, body) => sagas.work(client, JSON.parse(body) as Request),
    });
    await sagas.shop.open({
      queue: replies,
      takes: 'reply',
      atOnce: HANDLERS,
      handle: (client, body) => sagas.next(client, JSON.parse(body) as Reply),
    });
    return sagas;
  }

  async start({ id, total }: Order): Promise<void> {
    const state: RemoteState = { total };
    await inTransaction(this.shop.pool, async (client) => {
      const { rowCount } = await client.query({ ...SQL.start, values: [id, JSON.stringify(state)] });
      if (rowCount === 1) await this.shop.send(client, 'request', { id, step: 0, total } satisfies Request);
    });
  }

  async startAndWait(order: Order): Promise<unknown> {
    const ended = new Promise<void>((resolve) => this.waiting.set(order.id, resolve));
    await this.start(order);
    await ended;
    return (await this.shop.pool.query({ ...SQL.look, values: [order.id] })).rows[0];
  }

  startPolling(): void {
    this.shop.startPolling();
    this.partner.startPolling();
  }

  async stopPolling(): Promise<void> {
    await this.shop.stopPolling();
    await this.partner.stopPolling();
  }

  async close(): Promise<void> {
    await this.shop.close();
    await this.partner.close();
  }

  /** The partner's handler. */
  private async work(client: PoolClient, { id, step, total }: Request): Promise<undefined> {
    const { into, effect } = STEPS[step] as (typeof STEPS)[number];
    await client.query({ ...effect, values: [id, total] });
    await this.partner.send(client, 'reply', { id, step, reference: `${into[0]}-${id}` } satisfies Reply);
    return undefined;
  }

  private async next(client: PoolClient, { id, step, reference }: Reply): Promise<(() => void) | undefined> {
    const { rows } = await client.query<SagaRow>({ ...SQL.lock, values: [id] });
    const [row] = rows;
    if (row?.status !== 'waiting' || row.step !== step) return undefined;
    const state: RemoteState = { ...(JSON.parse(row.state) as RemoteState), [(STEPS[step] as (typeof STEPS)[number]).into]: reference };
    const isLast = step === STEPS.length - 1;
    await client.query({ ...SQL.move, values: [id, isLast ? 'done' : 'waiting', step + 1, JSON.stringify(state)] });
    if (!isLast) await this.shop.send(client, 'request', { id, step: step + 1, total: state.total } satisfies Request);
    return isLast ? () => this.tellEnd(id) : undefined;
  }

  private tellEnd(id: string): void {
    this.ended += 1;
    this.waiting.get(id)?.();
    this.waiting.delete(id);
  }
}
