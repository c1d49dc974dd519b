// An application whose transactions are those of nestjs-cls: what Holdfast publishes in them commits with them.
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { HoldfastClientProxy, HoldfastModule, MessageBus, OnMessage, Retry, Transactional, UnitOfWork } from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Inject, Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { ClsPluginTransactional, Propagation, Transactional as OfCls, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule } from 'nestjs-cls';
import { DataSource, Repository } from 'typeorm';
import { silent } from './support/recording-engine.js';
import { OrderPlaced, orm, ShopOrder } from './support/shop.js';

@Injectable()
class Shop {
  readonly handled: string[] = [];

  constructor(
    @Inject(TransactionHost) private readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    @InjectRepository(ShopOrder) private readonly repository: Repository<ShopOrder>,
    @Inject(MessageBus) private readonly bus: MessageBus,
    @Inject(HoldfastClientProxy) private readonly client: HoldfastClientProxy,
    @Inject(UnitOfWork) private readonly unit: UnitOfWork,
  ) {}

  /** A row and a message, in whatever is in scope. */
  private async write(id: string): Promise<void> {
    await this.host.tx.insert(ShopOrder, { id });
    await this.bus.publish(new OrderPlaced(id));
  }

  @OfCls()
  async place(id: string, { fail = false, through = 'host' as 'host' | 'repository' | 'client' } = {}): Promise<void> {
    if (through === 'repository') await this.repository.insert({ id });
    else await this.host.tx.insert(ShopOrder, { id });
    if (through === 'client') this.client.emit('shop.order-placed', { orderId: id });
    else await this.bus.publish(new OrderPlaced(id));
    if (fail) throw new Error('changed its mind');
  }

  @OfCls()
  async around(propagation: Propagation, { innerFails = false, outerFails = false } = {}): Promise<void> {
    await this.write('outer');
    await this.host
      .withTransaction(propagation, async () => {
        await this.write('inner');
        if (innerFails) throw new Error('inner');
      })
      .catch(() => undefined);
    if (outerFails) throw new Error('outer');
  }

  @Transactional()
  async inOurs(fail: boolean, innerFails = false): Promise<void> {
    await this.write('ours');
    await this.place('theirs', { fail: innerFails }).catch(() => undefined);
    if (fail) throw new Error('changed its mind');
  }

  @OfCls()
  async hook(): Promise<void> {
    this.unit.afterCommit(() => undefined);
  }

  @OnMessage(OrderPlaced, { name: 'echo' })
  @Retry(false)
  @Transactional()
  async echo({ orderId }: OrderPlaced): Promise<void> {
    this.handled.push(orderId);
    if (!orderId.startsWith('echo')) await this.host.tx.insert(ShopOrder, { id: `echo ${orderId}` });
    if (orderId === 'echo-fails') await this.host.withTransaction(async () => this.write('never'));
    if (orderId === 'echo-fails') throw new Error('cannot');
  }
}

/** An adapter of a database that is not the store's. */
const another = {
  getFallbackInstance: () => ({}),
  wrapWithTransaction: async (
    _options: unknown,
    work: () => Promise<unknown>,
    setTransaction: (transaction: object) => void,
  ): Promise<unknown> => {
    setTransaction({});
    return work();
  },
};

let database: TestDatabase;
let app: TestingModule;
let outside: DataSource;

beforeEach(async () => {
  database = await createTestDatabase();
  outside = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  const cls = ClsModule.forRoot({
    plugins: [
      new ClsPluginTransactional({
        imports: [TypeOrmModule],
        adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: DataSource }),
      }),
    ],
  });
  const holdfast = HoldfastModule.forRoot({
    service: 'shop',
    transport: databaseTransport(),
    store: typeorm(),
    outsideTransaction: 'throw',
  });
  app = await Test.createTestingModule({
    imports: [...orm(database.url), cls, holdfast],
    providers: [Shop, { provide: 'ANOTHER', useFactory: () => ({ ...another }) }],
  })
    .setLogger(silent)
    .compile();
  await app.init();
});
afterEach(async () => {
  await app.close();
  await outside.destroy();
  await database.drop();
});

const rows = async (): Promise<string[]> =>
  (await outside.query("select id from shop_order where id not like 'echo %' order by id")).map(({ id }: { id: string }) => id);
const sent = async (): Promise<string[]> =>
  (await outside.query("select convert_from(body, 'utf8')::json->>'orderId' as id from holdfast_outbox order by 1")).map(
    ({ id }: { id: string }) => id,
  );

it.each(['host', 'repository', 'client'] as const)(
  'a message commits with the transaction, and is gone with it (row through the %s)',
  async (through) => {
    const shop = app.get(Shop);
    await shop.place('o-1', { through });
    await expect(shop.place('o-2', { through, fail: true })).rejects.toThrow('changed its mind');
    expect(await rows()).toEqual(['o-1']);
    expect(await sent()).toEqual(['o-1']);
    await eventually(async () => shop.handled.length === 1, Boolean);
  },
);

const { RequiresNew, Nested, NotSupported, Required } = Propagation;
it.each<[Propagation, object, string[]]>([
  [Required, {}, ['inner', 'outer']],
  [Required, { outerFails: true }, []],
  [RequiresNew, { outerFails: true }, ['inner']],
  [RequiresNew, { innerFails: true }, ['outer']],
  [Nested, {}, ['inner', 'outer']],
  [Nested, { innerFails: true }, ['outer']],
  [Nested, { outerFails: true }, []],
])('with propagation %s and %j what stays is %j, rows and messages alike', async (propagation, fails, stays) => {
  await app
    .get(Shop)
    .around(propagation, fails)
    .catch(() => undefined);
  expect(await rows()).toEqual(stays);
  expect(await sent()).toEqual(stays);
});

it('what runs without the transaction is outside of it, where a publish beside a write is refused as everywhere', async () => {
  await app.get(Shop).around(NotSupported, {});
  expect(await rows()).toEqual(['inner', 'outer']);
  expect(await sent()).toEqual(['outer']);
});

it.each([
  [{ outerFails: true, innerFails: false }, []],
  [{ outerFails: false, innerFails: true }, ['ours']],
  [{ outerFails: false, innerFails: false }, ['ours', 'theirs']],
])('inside a unit of Holdfast it is a savepoint of that unit: with %j what stays is %j', async ({ outerFails, innerFails }, stays) => {
  await app
    .get(Shop)
    .inOurs(outerFails, innerFails)
    .catch(() => undefined);
  expect(await rows()).toEqual(stays);
  expect(await sent()).toEqual(stays);
});

it('in a handler its client is that of the delivery', async () => {
  await app.get(MessageBus).publish(new OrderPlaced('echo-fails'));
  await eventually(async () => app.get(Shop).handled.includes('echo-fails'), Boolean);
  await eventually(async () => (await outside.query("select 1 from holdfast_delivery where state = 'dead'")).length === 1, Boolean);
  expect(await rows()).toEqual([]);
  expect(await sent()).toEqual(['echo-fails']);
});

it('a hook after the commit is refused: nobody here knows when that is', async () => {
  await expect(app.get(Shop).hook()).rejects.toMatchObject({ code: 'HF_UOW_NOT_OWNED' });
});

it('a transaction of another database is left alone, and a message in it is published on its own', async () => {
  const adapter = app.get<typeof another>('ANOTHER');
  const given: object[] = [];
  await adapter.wrapWithTransaction(
    undefined,
    () => app.get(MessageBus).publish(new OrderPlaced('o-1')),
    (one) => given.push(one),
  );
  expect(given).toEqual([{}]);
  expect(await sent()).toEqual(['o-1']);
});
