import {
  type BlackHole,
  describeWithRabbit,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
  pause,
  createStoreDatabase,
} from '@holdfast-internal/test-support';
import { Holdfast, Message, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('shop.order-placed')
class OrderPlaced {
  constructor(readonly n: number) {}
}

describeWithRabbit('a bus over RabbitMQ', () => {
  let area: RabbitArea;
  let database: TestDatabase;
  let dataSource: DataSource;
  let way: BlackHole;
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
    await dataSource.query('create table effect (n int not null)');
    way = await openBlackHole(area.url);
    exchange = area.name();
    queues.push(`${exchange}/shop/shop.book`, `${exchange}/shop:dead/shop.book`);
  });
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.stop({ timeout: '5s' })));
    await way.close();
    await dataSource.destroy();
    await database.drop();
  });

  const bus = async (work: (n: number) => Promise<unknown> = async () => undefined, batchSize = 1): Promise<Holdfast> => {
    const made = new Holdfast(
      {
        service: 'shop',
        transport: rabbitmq({ url: way.url, exchange, heartbeat: '1s' }),
        store: typeorm({ dataSource, lanes: 4 }),
      },
      { logger: silentLogger },
    ).on(
      OrderPlaced,
      async ({ n }) => {
        await dataSource.query('insert into effect values ($1)', [n]);
        await work(n);
      },
      { name: 'shop.book', retry: 5, idempotent: true, transactional: true, batchSize, timeout: '20s' },
    );
    buses.push(made);
    await made.start();
    return made;
  };

  const effects = async (): Promise<number[]> =>
    ((await dataSource.query('select n from effect order by n')) as { n: number }[]).map(({ n }) => n);

  it('gives every committed message one effect, and a rolled-back one none, while its connections are cut and its broker is away', async () => {
    const one = await bus(() => pause(3));
    const cutting = (async () => {
      for (let cuts = 0; cuts < 8; cuts += 1) {
        await pause(150);
        if (cuts === 4) {
          way.refuse(true);
          await pause(500);
          way.refuse(false);
        } else way.cut();
      }
    })();
    for (let n = 0; n < 300; n += 1) {
      const unit = one.unitOfWork.run({}, async () => {
        await one.bus.publish(new OrderPlaced(n), { key: `k${n % 10}` });
        if (n % 10 === 9) throw new Error('refused');
      });
      await unit.catch(() => undefined);
    }
    await cutting;
    const wanted = Array.from({ length: 300 }, (_, n) => n).filter((n) => n % 10 !== 9);
    await eventually(effects, ({ length }) => length >= wanted.length);
    await one.settled(30_000);
    expect(await effects()).toEqual(wanted);
    expect((await one.deadLetters.list()).items).toEqual([]);
    expect((await one.outbox.stats()).backlog).toBe(0);
  });

  it('handles hundreds that were in hand when its connection ended as if they were new, and does not put them aside', async () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const one = await bus(() => opened, 32);
    await one.unitOfWork.run({}, async () => {
      for (let n = 0; n < 600; n += 1) await one.bus.publish(new OrderPlaced(n));
    });
    const inQueue = () => area.as(async (admin) => (await admin.checkQueue(`${exchange}/shop/shop.book`)).messageCount);
    await eventually(
      async () => (await one.outbox.stats()).backlog,
      (left) => left === 0,
    );
    await eventually(inQueue, (count) => count < 400);
    way.cut();
    await pause(300);
    open();
    await eventually(effects, ({ length }) => length >= 600);
    await one.settled(30_000);
    expect(await effects()).toEqual(Array.from({ length: 600 }, (_, n) => n));
    const [{ stored }] = await dataSource.query(
      `select coalesce(pg_sequence_last_value(pg_get_serial_sequence('holdfast_delivery', 'id')), 0)::int as stored`,
    );
    // A few came back while their first hand-over was still in its transaction, and are tried again behind it.
    expect(stored).toBeLessThan(100);
  });

  it('parks what nobody can read, with its body and the reason, and handles the next', async () => {
    const one = await bus();
    await area.as(async (admin) => {
      const publish = (body: string, headers: Record<string, unknown>) =>
        admin.publish(exchange, 'shop.order-placed.none', Buffer.from(body), { headers, contentType: 'application/json' });
      publish('hello?', {});
      publish('{"n":', { 'cloudEvents:id': 'bad', 'cloudEvents:source': 'foreign', 'cloudEvents:type': 'shop.order-placed' });
      publish('{"n":7}', { cloudEvents_id: 'good', cloudEvents_source: 'foreign', cloudEvents_type: 'shop.order-placed' });
      await admin.checkExchange(exchange);
    });
    await eventually(effects, ({ length }) => length === 1);
    const { items } = await eventually(
      () => one.deadLetters.list(),
      (page) => page.items.length === 2,
    );
    expect(await effects()).toEqual([7]);
    expect(items.map(({ error, body }) => [error.code, Buffer.from(body).toString()]).sort()).toEqual([
      ['HF_MESSAGE_FOREIGN', 'hello?'],
      ['HF_MESSAGE_UNREADABLE', '{"n":'],
    ]);
    expect(items.find(({ message }) => message.id === 'bad')?.message.source).toBe('foreign');
  });

  it('handles a message that came back with its connection, once', async () => {
    let isFirst = true;
    const one = await bus(async () => {
      if (!isFirst) return;
      isFirst = false;
      way.cut();
      // Once this process knows, its failure is not stored: the message comes again.
      await pause(200);
      throw new Error('not yet');
    });
    await one.bus.publish(new OrderPlaced(1));
    await eventually(effects, ({ length }) => length === 1);
    await one.settled(30_000);
    expect(await effects()).toEqual([1]);
    expect((await one.deadLetters.list()).items).toEqual([]);
  });

  it('leaves at the broker what comes for a paused subscription, from the first moment of a process on, and when it pauses in its midst', async () => {
    const queue = `${exchange}/shop/shop.book`;
    const ready = (wanted: number) =>
      eventually(
        () => area.as(async (admin) => (await admin.checkQueue(queue)).messageCount),
        (count) => count === wanted,
      );
    const by = { by: 'a test', reason: 'a test' };
    const first = await bus();
    await first.subscriptions.pause('shop.book', by);
    await first.stop();
    await area.as(async (admin) => {
      const headers = { 'cloudEvents:id': 'a', 'cloudEvents:source': 'foreign', 'cloudEvents:type': 'shop.order-placed' };
      admin.publish(exchange, 'shop.order-placed.none', Buffer.from('{"n":1}'), { headers });
      await admin.checkExchange(exchange);
    });
    const second = await bus();
    await pause(500);
    await ready(1);
    expect(await effects()).toEqual([]);
    await second.subscriptions.resume('shop.book', by);
    await eventually(effects, ({ length }) => length === 1);
    await second.subscriptions.pause('shop.book', by);
    await pause(1500);
    for (const n of [2, 3]) await second.bus.publish(new OrderPlaced(n));
    await ready(2);
    expect(await effects()).toEqual([1]);
    await second.subscriptions.resume('shop.book', by);
    await eventually(effects, ({ length }) => length === 3);
  });

  it('says that it is degraded while its broker is away, and up again', async () => {
    const one = await bus();
    expect(await one.health()).toMatchObject({ status: 'up', problems: [], transport: { name: 'rabbitmq', status: 'up' } });
    way.refuse(true);
    const away = await eventually(
      () => one.health(),
      ({ status }) => status !== 'up',
    );
    expect(away).toMatchObject({ status: 'degraded', store: { isReachable: true }, transport: { status: 'down' } });
    expect(away.problems.join()).toMatch(/^the transport rabbitmq is not connected \(.*\); messages wait in the outbox$/);
    way.refuse(false);
    await eventually(
      () => one.health(),
      ({ status }) => status === 'up',
    );
  });

  it('ends a stop within its deadline though the broker says nothing, and nothing is lost', async () => {
    const one = await bus();
    await one.bus.publish(new OrderPlaced(1));
    await eventually(effects, ({ length }) => length === 1);
    way.swallow();
    await one.bus.publish(new OrderPlaced(2));
    await pause(200);
    const begin = performance.now();
    await one.stop({ timeout: '2s' });
    expect(performance.now() - begin).toBeLessThan(20_000);
    buses.splice(0);
    if (dataSource.isInitialized) await dataSource.destroy();
    dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 12 }).initialize();
    await bus();
    await eventually(effects, ({ length }) => length === 2);
  });
});
