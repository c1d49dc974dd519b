import {
  type BlackHole,
  createTestDatabase,
  describeWithRabbit,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
  pause,
} from '@holdfast-internal/test-support';
import { HoldfastOutboxTransport } from '@holdfast/nest';
import { Holdfast, Message, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { Logger } from '@nestjs/common';
import type { ConsumeMessage } from 'amqplib';
import { DataSource } from 'typeorm';
import { NonRetryableMessageError } from '../../../samples/03-keep-your-outbox/src/outbox/contract.js';
import { Outbox } from '../../../samples/03-keep-your-outbox/src/outbox/outbox.js';
import { OutboxRow } from '../../../samples/03-keep-your-outbox/src/outbox/outbox-row.entity.js';
import { OutboxRelay } from '../../../samples/03-keep-your-outbox/src/outbox/relay.js';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly n: number) {}
}

describeWithRabbit('the relay of an outbox like that of @nestjs/outbox, over HoldfastOutboxTransport', () => {
  let area: RabbitArea;
  let way: BlackHole;
  let exchange: string;
  let database: TestDatabase;
  let dataSource: DataSource;
  let relay: OutboxRelay;
  let transport: HoldfastOutboxTransport;
  const queues: string[] = [];

  beforeAll(async () => {
    Logger.overrideLogger(false);
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = await new DataSource({
      type: 'postgres',
      url: database.url,
      poolSize: 12,
      entities: [OutboxRow],
      synchronize: true,
    }).initialize();
    await dataSource.query('create table effect (n int not null)');
    way = await openBlackHole(area.url);
    exchange = area.name();
    queues.push(`${exchange}/billing/billing.charge`);
    const broker = rabbitmq({ url: way.url, exchange, confirmTimeout: '3s' });
    transport = new HoldfastOutboxTransport({ service: 'orders', transport: broker, nonRetryable: NonRetryableMessageError });
    relay = new OutboxRelay(dataSource, transport);
  });
  afterEach(async () => {
    await relay.onModuleDestroy();
    await transport.close('2s');
    await way.close();
    await dataSource.destroy();
    await database.drop();
  });

  const add = (n: number, key?: string) =>
    new Outbox().add(dataSource.manager, { topic: 'order.placed', id: `placed-${n}`, key, payload: { n } });
  const rows = () => dataSource.getRepository(OutboxRow).find();
  const published = () => eventually(rows, ({ length }) => length === 0);

  it('has every message handled with one effect, and none given up, while its connections are cut and the broker is away', async () => {
    const consumer = new Holdfast(
      { service: 'billing', transport: rabbitmq({ url: area.url, exchange }), store: typeorm({ dataSource, lanes: 4 }) },
      { logger: silentLogger },
    ).on(OrderPlaced, ({ n }) => dataSource.query('insert into effect values ($1)', [n]) as Promise<void>, {
      name: 'billing.charge',
      idempotent: true,
      transactional: true,
    });
    await consumer.start();
    way.refuse(true);
    relay.onApplicationBootstrap();
    const cutting = (async () => {
      await pause(300);
      way.refuse(false);
      for (let cuts = 0; cuts < 6; cuts += 1) {
        await pause(150);
        way.cut();
      }
    })();
    for (let n = 0; n < 300; n += 1) {
      await add(n, n % 3 === 0 ? undefined : `k${n % 7}`);
      if (n % 20 === 0) await pause(60);
    }
    await cutting;
    await published();
    const effects = async () => ((await dataSource.query('select n from effect order by n')) as { n: number }[]).map(({ n }) => n);
    await eventually(effects, ({ length }) => length >= 300);
    await consumer.settled(30_000);
    expect(await effects()).toEqual(Array.from({ length: 300 }, (_, n) => n));
    expect((await consumer.deadLetters.list()).items).toEqual([]);
    await consumer.stop();
  });

  it('keeps the order of a key, and each message on disk', async () => {
    const caught: ConsumeMessage[] = [];
    await area.as(async (admin) => {
      await admin.assertExchange(exchange, 'topic', { durable: true });
      const { queue } = await admin.assertQueue('', { exclusive: true });
      await admin.bindQueue(queue, exchange, 'order.placed.*');
      await admin.consume(queue, (message) => void (message && caught.push(message)), { noAck: true });
      for (let n = 0; n < 50; n += 1) await add(n, 'k');
      relay.onApplicationBootstrap();
      await published();
      await eventually(
        async () => caught.length,
        (count) => count === 50,
      );
    });
    expect(caught.map(({ content }) => JSON.parse(content.toString()).n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(new Set(caught.map(({ properties }) => properties.deliveryMode))).toEqual(new Set([2]));
    expect(caught[0]?.properties.headers).toMatchObject({ 'cloudEvents:source': 'orders', 'cloudEvents:partitionkey': 'k' });
  });

  it('gives up at once what nobody has subscribed to, and what is no message, and tells why', async () => {
    await new Outbox().add(dataSource.manager, { topic: 'order.unheard', id: 'unheard', payload: {} });
    await new Outbox().add(dataSource.manager, { topic: 'order.placed', id: 'too-large', payload: { text: 'x'.repeat(2 ** 20) } });
    relay.onApplicationBootstrap();
    const dead = await eventually(rows, (found) => found.length === 2 && found.every(({ isDead }) => isDead));
    expect(new Map(dead.map(({ id, attempts, lastError }) => [id, `${attempts} ${lastError}`]))).toEqual(
      new Map([
        ['unheard', '1 NonRetryableMessageError: order.unheard unheard was not published: nobody has subscribed to it'],
        [
          'too-large',
          expect.stringMatching(/^1 NonRetryableMessageError: The body of order\.placed has 1048587 bytes, the limit is 1048576/),
        ],
      ]),
    );
  });

  it('tries again, and gives nothing up, while the broker does not answer', async () => {
    await area.as(async (admin) => {
      await admin.assertExchange(exchange, 'topic', { durable: true });
      await admin.assertQueue(`${exchange}/billing/billing.charge`);
      await admin.bindQueue(`${exchange}/billing/billing.charge`, exchange, 'order.placed.*');
    });
    relay.onApplicationBootstrap();
    await add(0);
    await published();
    way.swallow();
    await add(1);
    const [row] = await eventually(rows, ([found]) => (found?.attempts ?? 0) > 0);
    expect(row).toMatchObject({ isDead: false, lastError: expect.stringContaining('was not accepted by the broker: unknown') });
    way.cut();
    await published();
  });

  it('ends what waits for a broker that is away when it is closed, and is worth another attempt', async () => {
    way.refuse(true);
    const message = { id: '1', topic: 'order.placed', createdAt: 0, payload: {} };
    const waiting = transport.publish(message).catch((error: Error) => error);
    await pause(100);
    const begin = performance.now();
    await transport.close('1s');
    const error = await waiting;
    expect(performance.now() - begin).toBeLessThan(20_000);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(NonRetryableMessageError);
  });

  it('lets go of the broker though it was never asked for anything', async () => {
    await transport.close('2s');
    await expect(transport.publish({ id: '1', topic: 'order.placed', createdAt: 0, payload: {} })).rejects.toMatchObject({
      code: 'HF_STOPPING',
    });
  });
});
