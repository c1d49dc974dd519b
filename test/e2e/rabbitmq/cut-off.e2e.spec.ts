import {
  type BlackHole,
  createTestDatabase,
  describeWithRabbit,
  eventually,
  measured,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
} from '@holdfast-internal/test-support';
import { Holdfast, Message, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** What the design promises for the lanes of a process that cannot send them, and what a busy machine may add. */
const TAKE_OVER_MS = 10_000;
const SLACK_MS = 5000;

@Message('shop.parcel-sent')
class ParcelSent {
  constructor(readonly n: number) {}
}

describeWithRabbit('a process that has its database and not its broker', () => {
  let area: RabbitArea;
  let database: TestDatabase;
  let way: BlackHole;
  let exchange: string;
  const queues: string[] = [];
  const open: { readonly bus: Holdfast; readonly dataSource: DataSource }[] = [];

  beforeAll(async () => {
    area = await openRabbit();
    database = await createTestDatabase();
    way = await openBlackHole(area.url);
    exchange = area.name();
    queues.push(`${exchange}/shop/shop.track`, `${exchange}/shop:dead/shop.track`, `${exchange}/shop:dead/shop.follow`);
    queues.push(...[0, 1, 2, 3].map((n) => `${exchange}/shop:${n}/shop.follow`));
  });
  afterAll(async () => {
    await Promise.all(
      open.map(async ({ bus, dataSource }) => {
        await bus.stop({ timeout: '3s' });
        await dataSource.destroy();
      }),
    );
    await way.close();
    await database.drop();
    await area.drop(queues);
  });

  const handled = new Set<number>();
  const followed = new Set<number>();

  async function start(url: string): Promise<Holdfast> {
    const dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 8 }).initialize();
    const bus = new Holdfast(
      { service: 'shop', transport: rabbitmq({ url, exchange, heartbeat: '4s', partitions: 4 }), store: typeorm({ dataSource, lanes: 8 }) },
      { logger: silentLogger },
    ).on(ParcelSent, ({ n }) => void handled.add(n), { name: 'shop.track', idempotent: true, transactional: true });
    bus.on(ParcelSent, ({ n }) => void followed.add(n), { name: 'shop.follow', ordering: 'key', idempotent: true, transactional: true });
    open.push({ bus, dataSource });
    await bus.start();
    return bus;
  }

  const shared = (bus: Holdfast, among: number) =>
    eventually(
      async () => new Set((await bus.outbox.stats()).lanes.map(({ owner }) => owner)).size,
      (owners) => owners === among,
    );

  it('leaves its lanes and its partitions to one that has both, and gets its share again when the broker is back', async () => {
    const cutOff = await start(way.url);
    const healthy = await start(area.url);
    const takeOver = async () => {
      await shared(healthy, 2);
      handled.clear();
      followed.clear();
      way.refuse(true);
      for (let n = 0; n < 40; n += 1) await cutOff.bus.publish(new ParcelSent(n), { key: `parcel ${n}` });
      const published = performance.now();
      await eventually(
        () => handled.size + followed.size,
        (count) => count === 80,
      );
      const ms = performance.now() - published;
      await shared(healthy, 1);
      way.refuse(false);
      await shared(healthy, 2);
      return ms;
    };
    expect(await measured(takeOver, (ms) => ms < TAKE_OVER_MS + SLACK_MS)).toBeLessThan(TAKE_OVER_MS + SLACK_MS);
  });
});
