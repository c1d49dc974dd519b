// Two services that know only Nest's own handlers and client, over the database and over RabbitMQ: emitted here, handled there, while things break.
import {
  createTestDatabase,
  describeWithRabbit,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
} from '@holdfast-internal/test-support';
import {
  DeadLetters,
  Durable,
  HoldfastClientProxy,
  HoldfastContext,
  HoldfastModule,
  HoldfastRecord,
  HoldfastStrategy,
  Idempotent,
  Retry,
  Transactional,
  type TransportFactory,
} from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { Controller, type INestApplication, Inject, Injectable, type ModuleMetadata } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { firstValueFrom } from 'rxjs';
import { DataSource } from 'typeorm';
import { silent } from './support/recording-engine.js';

const ORDERS = 120;
/** Every tenth is emitted by a transaction that rolls back. */
const wanted = Array.from({ length: ORDERS }, (_, n) => n).filter((n) => n % 10 !== 9);

@Injectable()
class Shop {
  constructor(
    @Inject(HoldfastClientProxy) private readonly client: HoldfastClientProxy,
    @Inject(DataSource) private readonly dataSource: DataSource,
  ) {}

  @Transactional()
  async sell(n: number): Promise<void> {
    await this.dataSource.query('insert into sale values ($1)', [n]);
    this.client.emit({ entity: 'order', event: 'placed' }, new HoldfastRecord({ n }, { key: `k${n % 7}` }));
    if (n % 10 === 9) throw new Error('changed its mind');
  }

  take(sku: string, id: string): Promise<unknown> {
    return firstValueFrom(this.client.send({ cmd: 'take' }, new HoldfastRecord(sku, { id })));
  }
}

@Controller()
class Stock {
  static isEmpty = false;
  static taken = 0;
  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  @EventPattern<object>({ event: 'placed', entity: 'order' })
  @Durable({ name: 'stock.reserve', from: 'now' })
  @Retry({ attempts: 2, backoff: { delay: '50ms' } })
  @Idempotent()
  @Transactional()
  async reserve(@Payload('n') n: number, @Ctx() context: HoldfastContext): Promise<void> {
    await this.dataSource.query('insert into reservation values ($1, $2)', [n, context.getDelivery().source]);
    await new Promise((resolve) => setTimeout(resolve, 3));
    if (Stock.isEmpty) throw new Error('no stock');
  }

  @MessagePattern({ cmd: 'take' })
  @Idempotent()
  @Transactional()
  async take(@Payload() sku: string): Promise<{ sku: string; taken: number }> {
    Stock.taken += 1;
    return { sku, taken: Stock.taken };
  }
}

/** What every transport must do; `of` gives the transport of a service. */
function suite(of: (service: string) => TransportFactory, isShared: boolean): void {
  const databases: TestDatabase[] = [];
  const apps = new Set<INestApplication>();
  let shop: INestApplication;

  beforeEach(async () => {
    Stock.isEmpty = false;
    Stock.taken = 0;
    databases.push(await createTestDatabase());
    if (!isShared) databases.push(await createTestDatabase());
  });
  afterEach(async () => {
    for (const app of apps) await app.close();
    apps.clear();
    for (const one of databases.splice(0)) await one.drop();
  });

  async function start(service: 'shop' | 'stock', parts: ModuleMetadata): Promise<INestApplication> {
    const { url } = (service === 'shop' ? databases[0] : databases.at(-1)) as TestDatabase;
    const imports = [
      TypeOrmModule.forRoot({ type: 'postgres', url, poolSize: 8 }),
      HoldfastModule.forRoot({ service, transport: of(service), store: typeorm() }),
    ];
    const module = await Test.createTestingModule({ ...parts, imports })
      .setLogger(silent)
      .compile();
    const app = module.createNestApplication();
    apps.add(app);
    const table = service === 'shop' ? 'sale (n int primary key)' : 'reservation (n int, source text)';
    await app.get(DataSource).query(`create table if not exists ${table}`);
    app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.init();
    return app;
  }
  const startStock = () => start('stock', { controllers: [Stock] });
  const startShop = () => start('shop', { providers: [Shop] });
  const close = async (app: INestApplication) => {
    apps.delete(app);
    await app.close();
  };
  const reserved = async (app: INestApplication): Promise<{ n: number; source: string }[]> =>
    app.get(DataSource).query('select n, source from reservation order by n');

  it('reserves what was sold, once each, and nothing of a rollback, while the service that reserves is stopped in the middle', async () => {
    const first = await startStock();
    shop = await startShop();
    const selling = (async () => {
      for (let n = 0; n < ORDERS; n += 1)
        await shop
          .get(Shop)
          .sell(n)
          .catch(() => undefined);
    })();
    await eventually(async () => (await reserved(first)).length >= 10, Boolean);
    await close(first);
    await selling;
    const second = await startStock();
    await eventually(async () => (await reserved(second)).length >= wanted.length, Boolean);
    await close(shop);
    expect(await reserved(second)).toEqual(wanted.map((n) => ({ n, source: 'shop' })));
    expect((await second.get(DeadLetters).list()).items).toEqual([]);
  });

  it('answers over the transport, once for whoever asks again, also after the service that asks is made anew', async (): Promise<void> => {
    await startStock();
    shop = await startShop();
    if (!of('shop').capabilities.replies) {
      await expect(shop.get(Shop).take('sku', 'r-1')).rejects.toMatchObject({ code: 'HF_CAPABILITY_UNSUPPORTED' });
      return;
    }
    await expect(shop.get(Shop).take('sku', 'r-1')).resolves.toEqual({ sku: 'sku', taken: 1 });
    await close(shop);
    shop = await startShop();
    await expect(shop.get(Shop).take('sku', 'r-1')).resolves.toEqual({ sku: 'sku', taken: 1 });
    await expect(shop.get(Shop).take('sku', 'r-2')).resolves.toEqual({ sku: 'sku', taken: 2 });
  });

  it('keeps what keeps failing as dead letters of the handler, and reserves it when they are redriven', async () => {
    const stock = await startStock();
    shop = await startShop();
    Stock.isEmpty = true;
    for (const n of [1, 2, 3]) await shop.get(Shop).sell(n);
    const letters = async () => (await stock.get(DeadLetters).list({ subscription: 'stock.reserve' })).items;
    await eventually(async () => (await letters()).length === 3, Boolean);
    expect(await letters()).toMatchObject([1, 2, 3].map(() => ({ attempts: 2, error: { message: 'no stock' } })));
    expect(await reserved(stock)).toEqual([]);
    Stock.isEmpty = false;
    await stock.get(DeadLetters).redrive({ subscription: 'stock.reserve' }, { by: 'test' });
    await eventually(async () => (await reserved(stock)).length === 3, Boolean);
    expect(await letters()).toEqual([]);
  });
}

describe('over the database', () => suite(() => database(), true));

describeWithRabbit('over RabbitMQ, a database each', () => {
  let area: RabbitArea;
  let exchange: string;
  const queues: string[] = [];
  beforeAll(async () => {
    area = await openRabbit();
  });
  beforeEach(() => {
    exchange = area.name();
    queues.push(`${exchange}/stock/stock.reserve`, `${exchange}/stock/{"cmd":"take"}`);
  });
  afterAll(() => area.drop(queues));
  suite(() => rabbitmq({ url: area.url, exchange }), false);
});
