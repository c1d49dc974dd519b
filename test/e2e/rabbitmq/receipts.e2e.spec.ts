// Receipts between services that have nothing in common but the broker.
import {
  createTestDatabase,
  describeWithRabbit,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
} from '@holdfast-internal/test-support';
import { Holdfast, Message, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('shop.order-placed')
class OrderPlaced {
  constructor(readonly n: number) {}
}

describeWithRabbit('receipts over RabbitMQ', () => {
  let area: RabbitArea;
  let exchange: string;
  const databases: TestDatabase[] = [];
  const sources: DataSource[] = [];
  const buses: Holdfast[] = [];

  beforeAll(async () => {
    area = await openRabbit();
    exchange = area.name();
  });
  afterAll(() => area.drop([`${exchange}/shop/holdfast.receipts`, `${exchange}/shop/shop.count`, `${exchange}/billing/billing.charge`]));
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.stop({ timeout: '5s' })));
    for (const source of sources.splice(0)) await source.destroy();
    for (const database of databases.splice(0)) await database.drop();
  });

  /** A service with a database of its own. */
  async function service(name: string, options: { receipts?: boolean } = {}): Promise<Holdfast> {
    const database = await createTestDatabase();
    databases.push(database);
    const dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 12 }).initialize();
    sources.push(dataSource);
    const transport = rabbitmq({ url: area.url, exchange });
    const bus = new Holdfast({ service: name, transport, store: typeorm({ dataSource, lanes: 4 }), ...options }, { logger: silentLogger });
    buses.push(bus);
    return bus;
  }

  it('come back from a service with another database, and change when its dead letter is redriven', async () => {
    const shop = await service('shop', { receipts: true });
    shop.on(OrderPlaced, () => undefined, { name: 'shop.count', transactional: true });
    const billing = await service('billing');
    let isUp = false;
    const charge = () => {
      if (!isUp) throw new Error('the gateway is down');
    };
    billing.on(OrderPlaced, charge, { name: 'billing.charge', transactional: true, idempotent: true, retry: 1 });
    await shop.start();
    await billing.start();

    const { id } = await shop.bus.publish(new OrderPlaced(1), { receipt: true });
    const receipts = async () =>
      (await shop.outbox.receipts(id)).map(({ service, subscription, status }) => `${service} ${subscription} ${status}`).sort();
    await eventually(async () => (await receipts()).length === 2, Boolean);
    expect(await receipts()).toEqual(['billing billing.charge dead-lettered', 'shop shop.count consumed']);
    expect(await shop.outbox.isConsumed(id)).toBe(false);

    isUp = true;
    await billing.deadLetters.redrive({ subscription: 'billing.charge' }, { by: 'anna' });
    await eventually(() => shop.outbox.isConsumed(id), Boolean);
    expect(await receipts()).toEqual(['billing billing.charge consumed', 'shop shop.count consumed']);
    // What travels for the receipts is nobody's message.
    expect((await shop.deadLetters.list()).items).toEqual([]);
  });
});
