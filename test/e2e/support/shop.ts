import { type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import {
  Command,
  Holdfast,
  type HandlerPolicies,
  Message,
  type MessageLimitOptions,
  silentLogger,
  type TransportFactory,
} from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** Of the log. */
const LANES = 4;

/** A fact that the shop books. */
@Message('shop.order-placed')
export class OrderPlaced {
  constructor(
    readonly n: number,
    readonly ballast = '',
  ) {}
}

/** What only its owner can do. */
@Message('shop.refund')
export class Refund extends Command<void> {
  constructor(readonly n: number) {
    super();
  }
}

/** An effect, in the order in which it was committed. */
export interface Effect {
  readonly key: string | null;
  readonly n: number;
}

/** Services with one database between them, over a broker: each handler writes one row of `effect` per message. */
export class Shop {
  readonly buses: Holdfast[] = [];
  private readonly sources: DataSource[] = [];

  protected constructor(
    private readonly transport: () => TransportFactory,
    private readonly database: TestDatabase,
    private readonly window: DataSource,
  ) {}

  static async over(transport: () => TransportFactory): Promise<Shop> {
    return new Shop(transport, ...(await Shop.made()));
  }

  /** An empty database, and a look into it. */
  protected static async made(): Promise<readonly [TestDatabase, DataSource]> {
    const database = await createStoreDatabase(LANES);
    const window = await new DataSource({ type: 'postgres', url: database.url, poolSize: 3 }).initialize();
    await window.query('create table effect (at bigserial primary key, key text, n int not null)');
    return [database, window];
  }

  /** A process that only publishes. */
  publishing(limits?: MessageLimitOptions): Promise<Holdfast> {
    return this.start({ service: 'till', limits }, () => undefined);
  }

  /** A process that books what is placed. */
  booking(
    work: (n: number) => unknown = () => undefined,
    policies: Partial<HandlerPolicies<OrderPlaced>> = {},
    limits?: MessageLimitOptions,
  ): Promise<Holdfast> {
    return this.start({ service: 'shop', limits }, (bus, write) =>
      bus.on(
        OrderPlaced,
        async ({ n }, { key }) => {
          await write(n, key);
          await work(n);
        },
        { name: 'shop.book', retry: 5, idempotent: true, transactional: true, ...policies } as HandlerPolicies<OrderPlaced>,
      ),
    );
  }

  /** A process that owns refunds, and makes one after the other. */
  refunding(): Promise<Holdfast> {
    return this.start({ service: 'desk' }, (bus, write) =>
      bus.on(Refund, ({ n }, { key }) => write(n, key), {
        name: 'desk.refund',
        concurrency: 1,
        idempotent: true,
        transactional: true,
      }),
    );
  }

  async effects(): Promise<readonly Effect[]> {
    return this.window.query('select key, n from effect order by at');
  }

  /** Numbers of a key's effects, in their order. */
  async effectsOf(key: string): Promise<readonly number[]> {
    return (await this.effects()).filter((effect) => effect.key === key).map(({ n }) => n);
  }

  /** Ends one process in good order. */
  async leave(bus: Holdfast): Promise<void> {
    this.buses.splice(this.buses.indexOf(bus), 1);
    await bus.stop({ timeout: '5s' });
  }

  /** Ends all processes; the database stays. */
  async stop(): Promise<void> {
    await Promise.all(this.buses.splice(0).map((bus) => bus.stop({ timeout: '3s' })));
    await Promise.all(this.sources.splice(0).map((source) => source.destroy()));
  }

  async close(): Promise<void> {
    await this.stop();
    await this.window.destroy();
    await this.database.drop();
  }

  private async start(
    { service, limits }: { readonly service: string; readonly limits?: MessageLimitOptions | undefined },
    subscribe: (bus: Holdfast, write: (n: number, key: string | undefined) => Promise<void>) => unknown,
  ): Promise<Holdfast> {
    const dataSource = await new DataSource({ type: 'postgres', url: this.database.url, poolSize: 12 }).initialize();
    this.sources.push(dataSource);
    const parts = { transport: this.transport(), store: typeorm({ dataSource, lanes: LANES }) };
    const bus = new Holdfast({ service, limits, ...parts }, { logger: silentLogger });
    subscribe(bus, async (n, key) => void (await dataSource.query('insert into effect (key, n) values ($1, $2)', [key, n])));
    this.buses.push(bus);
    await bus.start();
    return bus;
  }
}

/** `first`, `first + 1`, and so on. */
export function numbers(count: number, first = 1): number[] {
  return Array.from({ length: count }, (_, n) => first + n);
}
