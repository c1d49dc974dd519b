import { Client } from 'pg';
import type { Facts } from './account.js';

/** How far the orders have come. */
export interface Counts {
  readonly placed: number;
  readonly reserved: number;
  readonly paid: number;
  /** Completed, undone or parked. */
  readonly ended: number;
}

/** What is there when the shop opens. */
const PIECES = 10_000;
const BALANCES = { ann: 1_000_000, ben: 1_000_000, cleo: 1_000_000, dan: 0, nora: 1_000_000 };

/** What the tables of the services say. They are read here and nowhere else: the services do not look into each other's. */
export class Books {
  private constructor(private readonly client: Client) {}

  static async open(url: string): Promise<Books> {
    const client = new Client({ connectionString: url });
    // The server may be stopped before us.
    client.on('error', () => undefined);
    await client.connect();
    return new Books(client);
  }

  /** One schema for each service; its tables it makes itself. */
  async createSchemas(services: readonly string[]): Promise<void> {
    for (const service of services) await this.client.query(`create schema ${this.client.escapeIdentifier(service)}`);
  }

  /** Lamps on the shelf, and money in the bank. */
  async begin(): Promise<void> {
    await this.client.query(`insert into stock.shelf (article, pieces) values ('lamp', $1)`, [PIECES]);
    await this.client.query('insert into payments.account (customer, balance) select key, value::int from json_each_text($1)', [BALANCES]);
  }

  async counts(): Promise<Counts> {
    const { rows } = await this.client.query<Counts>(
      `select (select count(*) from orders."order")::int as placed,
              (select count(*) from stock.reservation)::int as reserved,
              (select count(*) from payments.payment)::int as paid,
              (select count(*) from holdfast_saga where status in ('completed', 'compensated', 'parked'))::int as ended`,
    );
    return rows[0] as Counts;
  }

  /** Everything there is. */
  async facts(): Promise<Omit<Facts, 'accepted' | 'killed'>> {
    const sagas = await this.client.query<{ id: string; status: string }>('select id, status from holdfast_saga');
    const { rows } = await this.client.query<{ money: number; pieces: number }>(
      `select ((select sum(balance) from payments.account) + (select coalesce(sum(amount), 0) from payments.payment))::int as money,
              ((select sum(pieces) from stock.shelf) + (select count(*) from stock.reservation))::int as pieces`,
    );
    const { money, pieces } = rows[0] as { money: number; pieces: number };
    const moneyAtFirst = Object.values(BALANCES).reduce((sum, balance) => sum + balance, 0);
    return {
      orders: await this.ids('select id from orders."order"'),
      reservations: await this.ids('select "orderId" as id from stock.reservation'),
      payments: await this.ids('select "orderId" as id from payments.payment'),
      parcels: await this.ids('select "orderId" as id from shipping.parcel'),
      endings: new Map(sagas.rows.map(({ id, status }) => [id, status])),
      missing: { money: moneyAtFirst - money, pieces: PIECES - pieces },
    };
  }

  /** Milliseconds between an order and its parcel: the median and the longest. */
  async waits(): Promise<{ readonly median: number; readonly longest: number }> {
    const { rows } = await this.client.query<{ median: number; longest: number }>(
      `select coalesce(percentile_cont(0.5) within group (order by ms), 0) as median, coalesce(max(ms), 0) as longest
       from (select (extract(epoch from p."shippedAt" - o."placedAt") * 1000)::float8 as ms
             from orders."order" o join shipping.parcel p on p."orderId" = o.id) waits`,
    );
    return rows[0] as { median: number; longest: number };
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  private async ids(sql: string): Promise<readonly string[]> {
    const { rows } = await this.client.query<{ id: string }>(sql);
    return rows.map(({ id }) => id);
  }
}
