import { Client } from 'pg';

/** How far the orders have come. */
export interface Counts {
  readonly placed: number;
  readonly paid: number;
  readonly reserved: number;
}

/** What the tables of the three services say. They are read here and nowhere else: the services do not look into each other's. */
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

  async counts(): Promise<Counts> {
    const { rows } = await this.client.query<Counts>(
      `select (select count(*) from orders."order")::int as placed,
              (select count(*) from payments.payment)::int as paid,
              (select count(*) from stock.reservation)::int as reserved`,
    );
    return rows[0] as Counts;
  }

  async orders(): Promise<readonly string[]> {
    return this.ids('select id from orders."order"');
  }

  async payments(): Promise<readonly string[]> {
    return this.ids('select "orderId" as id from payments.payment');
  }

  async reservations(): Promise<readonly string[]> {
    return this.ids('select "orderId" as id from stock.reservation');
  }

  /** Milliseconds between an order and its reservation: the median and the longest. */
  async waits(): Promise<{ readonly median: number; readonly longest: number }> {
    const { rows } = await this.client.query<{ median: number; longest: number }>(
      `select coalesce(percentile_cont(0.5) within group (order by ms), 0) as median, coalesce(max(ms), 0) as longest
       from (select (extract(epoch from r."reservedAt" - o."placedAt") * 1000)::float8 as ms
             from orders."order" o join stock.reservation r on r."orderId" = o.id) waits`,
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
