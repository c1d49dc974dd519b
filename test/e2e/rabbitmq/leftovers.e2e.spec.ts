import {
  describeWithRabbit,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  createStoreDatabase,
  eventually,
} from '@holdfast-internal/test-support';
import { Holdfast, type HandlerPolicies, Message, type MessageClass, silentLogger, slotOf } from '@holdfast/core';
import { rabbitmq, type RabbitmqOptions } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('shop.placed')
class Placed {}

@Message('shop.shipped')
class Shipped {}

const PARTITIONS = 4;

type Policies = Partial<HandlerPolicies<Placed>>;

const ORDERED: Policies = { ordering: 'key', idempotent: true, transactional: true };

describeWithRabbit('what no process takes any more', () => {
  let area: RabbitArea;
  let database: TestDatabase;
  let dataSource: DataSource;
  let exchange: string;
  const queues: string[] = [];
  const buses: Holdfast[] = [];

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    database = await createStoreDatabase(4);
    dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 12 }).initialize();
    exchange = area.name();
    const parts = ['', ':dead', ...Array.from({ length: PARTITIONS }, (_, n) => `:${n}`)];
    queues.push(...parts.map((part) => `${exchange}/shop${part}/shop.book`));
  });
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.stop()));
    await dataSource.destroy();
    await database.drop();
  });

  const start = async (types: readonly MessageClass<object>[], policies: Policies = {}, options: Partial<RabbitmqOptions> = {}) => {
    const made = new Holdfast(
      {
        service: 'shop',
        transport: rabbitmq({ url: area.url, exchange, partitions: PARTITIONS, ...options }),
        store: typeorm({ dataSource, lanes: 4 }),
      },
      { logger: silentLogger },
    );
    if (types.length > 0) made.on(types as never, (() => undefined) as never, { name: 'shop.book', ...policies } as never);
    buses.push(made);
    await made.start();
    return made;
  };
  const stop = async (bus: Holdfast) => {
    buses.splice(buses.indexOf(bus), 1);
    await bus.stop();
    if (!dataSource.isInitialized) await dataSource.initialize();
  };
  const isRouted = (routingKey: string) =>
    area.as(async (admin) => {
      let isReturned = false;
      admin.on('return', () => {
        isReturned = true;
      });
      admin.publish(exchange, routingKey, Buffer.from('{}'), { mandatory: true });
      await admin.checkExchange(exchange);
      return !isReturned;
    });
  const leftLongAgo = () => dataSource.query(`update holdfast_taken_type set left_at = left_at - interval '1 hour'`);
  /** A process that begins finds out that something was left; a later one, that it was long ago. */
  const afterLong = async (types: readonly MessageClass<object>[], policies?: Policies, options?: Partial<RabbitmqOptions>) => {
    const one = await start(types, policies, options);
    await eventually(
      async () => (await dataSource.query('select 1 from holdfast_taken_type where left_at is not null')).length > 0,
      Boolean,
    );
    await leftLongAgo();
    await stop(one);
    return start(types, policies, options);
  };

  it('is not routed to its queue any more, some time after the last process that took it', async () => {
    const old = await start([Placed, Shipped]);
    expect(await isRouted('shop.shipped.none')).toBe(true);
    await stop(old);
    const young = await start([Placed]);
    expect(await isRouted('shop.shipped.none')).toBe(true);
    await stop(young);
    await afterLong([Placed]);
    await eventually(async () => !(await isRouted('shop.shipped.none')), Boolean);
    expect(await isRouted('shop.placed.none')).toBe(true);
  });

  it('is routed again when a process takes it again', async () => {
    await stop(await start([Placed, Shipped]));
    const young = await afterLong([Placed]);
    await eventually(async () => !(await isRouted('shop.shipped.none')), Boolean);
    await start([Placed, Shipped]);
    expect(await isRouted('shop.shipped.none')).toBe(true);
    await leftLongAgo();
    await stop(young);
    await start([Placed]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await isRouted('shop.shipped.none')).toBe(true);
  });

  it.each([
    ['', {}],
    [' with order', ORDERED],
  ])('leaves the queue of a retired subscription%s without bindings, and what is in it', async (_, policies) => {
    const old = await start([Placed], policies);
    await stop(old);
    const key = `shop.placed.${slotOf('a')}`;
    expect(await isRouted(key)).toBe(true);
    const tools = new Holdfast(
      { service: 'shop', transport: rabbitmq({ url: area.url, exchange }), store: typeorm({ dataSource, lanes: 4 }) },
      { logger: silentLogger },
    );
    await tools.open();
    await tools.subscriptions.retire('shop.book', { by: 'a test', reason: 'a test' });
    await tools.stop();
    if (!dataSource.isInitialized) await dataSource.initialize();
    await afterLong([], {});
    await eventually(async () => !(await isRouted(key)), Boolean);
    const counts = await area.as(async (admin) => {
      const found: number[] = [];
      for (const queue of Object.keys(policies).length > 0 ? queues.slice(-PARTITIONS) : [`${exchange}/shop/shop.book`])
        found.push(await admin.checkQueue(queue).then(({ messageCount }) => messageCount));
      return found;
    });
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  });

  it("stays routed with topology 'check', where bindings are somebody else's", async () => {
    await stop(await start([Placed, Shipped]));
    await stop(await start([Placed]));
    await eventually(
      async () => (await dataSource.query('select 1 from holdfast_taken_type where left_at is not null')).length > 0,
      Boolean,
    );
    await leftLongAgo();
    const checking = await start([Placed], {}, { topology: 'check' });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await isRouted('shop.shipped.none')).toBe(true);
    await stop(checking);
    await start([Placed]);
    await eventually(async () => !(await isRouted('shop.shipped.none')), Boolean);
  });
});
