// Commands over RabbitMQ, events over Kafka, from one log: what one of them suffers, the other does not feel.
import {
  type BlackHole,
  borrowTestDatabase,
  describeWithOwnKafka,
  describeWithRabbit,
  EmbeddedKafka,
  eventually,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
} from '@holdfast-internal/test-support';
import { Command, type Delivery, Holdfast, type HoldfastOptions, Message, silentLogger } from '@holdfast/core';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('shop.charge')
class Charge extends Command<{ paid: number }> {
  constructor(readonly n: number) {
    super();
  }
}

@Message('shop.viewed', { destination: 'events:views' })
class Viewed {
  constructor(readonly n: number) {}
}

@Message('shop.clicked', { destination: 'events:views' })
class Clicked {
  constructor(readonly n: number) {}
}

/** Handled by a service that has both. */
@Message('shop.weigh', { destination: 'events:weights' })
class Weigh extends Command<string> {
  constructor(readonly n: number) {
    super();
  }
}

/** Handled by a service that has only Kafka. */
@Message('shop.rate', { destination: 'events:ratings' })
class Rate extends Command<string> {
  constructor(readonly n: number) {
    super();
  }
}

/** As a service declares it whose only broker is Kafka. */
@Message('shop.viewed', { destination: 'views' })
class ViewedHere {
  constructor(readonly n: number) {}
}

/** The same. */
@Message('shop.rate', { destination: 'ratings' })
class RateHere extends Command<string> {
  constructor(readonly n: number) {
    super();
  }
}

const KEYS = ['a', 'b', 'c'];

describeWithRabbit('RabbitMQ and Kafka at once', () => {
  describeWithOwnKafka('over real brokers', () => {
    let broker: EmbeddedKafka;
    let area: RabbitArea;
    let way: BlackHole;
    let testDatabase: TestDatabase;
    let dataSource: DataSource;
    let prefix: string;
    let names = 0;
    const buses: Holdfast[] = [];

    beforeAll(async () => {
      [broker, area] = await Promise.all([EmbeddedKafka.start(), openRabbit()]);
    });
    afterAll(() => Promise.all([broker?.remove(), area?.drop()]));
    beforeEach(async () => {
      names += 1;
      prefix = `two-${names}.`;
      way = await openBlackHole(area.url);
      testDatabase = await borrowTestDatabase();
      dataSource = await new DataSource({ type: 'postgres', url: testDatabase.url, poolSize: 16 }).initialize();
      await dataSource.query('create table effect (at serial, what text not null, key text not null, n int not null)');
    });
    afterEach(async () => {
      await Promise.all(buses.splice(0).map((bus) => bus.stop({ timeout: '5s' })));
      await way.close();
      await dataSource.destroy();
      await testDatabase.drop();
    });

    const overKafka = () =>
      kafka({ brokers: [broker.address], prefix, partitions: 3, sessionTimeout: '3s', requestTimeout: '2s', confirmTimeout: '4s' });
    const run = async (options: Partial<HoldfastOptions>, prepare: (bus: Holdfast) => void): Promise<Holdfast> => {
      const transports = { default: rabbitmq({ url: way.url, exchange: prefix, heartbeat: '1s', partitions: 2 }), events: overKafka() };
      const store = typeorm({ dataSource, lanes: 4 });
      const bus = new Holdfast({ service: 'shop', transports, store, ...options } as HoldfastOptions, { logger: silentLogger });
      prepare(bus);
      buses.push(bus);
      await bus.start();
      return bus;
    };

    const ORDERED = { ordering: 'key', transactional: true, idempotent: true, retry: 5 } as const;
    const shop = (options: Partial<HoldfastOptions> = {}) =>
      run(options, (bus) => {
        const note = (what: string, key: string | undefined, n: number) =>
          dataSource.query('insert into effect (what, key, n) values ($1, $2, $3)', [what, key, n]);
        const charge = async ({ n }: Charge, { key }: Delivery) => {
          await note('charged', key, n);
          return { paid: n };
        };
        bus.on(Charge, charge, { name: 'shop.charge', ...ORDERED });
        bus.on(Viewed, ({ n }, { key }) => note('viewed', key, n), { name: 'shop.count', ...ORDERED });
        bus.on(Weigh, ({ n }) => `weighs ${n}`, { name: 'shop.weigh', transactional: true });
      });
    const effects = async (what: string, key: string) =>
      ((await dataSource.query('select n from effect where what = $1 and key = $2 order by at', [what, key])) as { n: number }[]).map(
        ({ n }) => n,
      );
    const counted = (what: string) =>
      dataSource.query('select count(*)::int as n from effect where what = $1', [what]).then((rows: { n: number }[]) => rows[0]?.n ?? 0);
    const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
    /** One command and one event of each key, in one commit. */
    const publish = async ({ unitOfWork, bus }: Holdfast, from: number, to: number) => {
      for (let n = from; n < to; n += 1)
        for (const key of KEYS)
          await unitOfWork.run({}, async () => {
            await bus.send(new Charge(n), { key });
            await bus.publish(new Viewed(n), { key });
          });
    };
    const arrived = (what: string, count: number) =>
      eventually(
        () => counted(what),
        (found) => found >= count,
      );

    it('each message arrives once, in the order of its key, while one broker after the other freezes and dies, or is cut off, and returns', async () => {
      const bus = await shop();
      await publish(bus, 0, 5);
      await Promise.all([arrived('charged', 15), arrived('viewed', 15)]);

      broker.freeze();
      await publish(bus, 5, 25);
      await arrived('charged', 75);
      expect(await counted('viewed')).toBeLessThan(75);
      await broker.kill();
      await publish(bus, 25, 30);
      await arrived('charged', 90);
      await broker.start();
      await arrived('viewed', 90);

      // Nobody hears that the connections are dead; then nobody is let in.
      way.swallow();
      await publish(bus, 30, 35);
      way.refuse(true);
      await publish(bus, 35, 45);
      await arrived('viewed', 135);
      expect(await counted('charged')).toBeLessThan(135);
      expect((await bus.health()).transports).toMatchObject([
        { name: 'default', status: 'down' },
        { name: 'events', status: 'up' },
      ]);
      way.refuse(false);
      await arrived('charged', 135);

      await bus.settled(30_000);
      for (const key of KEYS)
        for (const what of ['charged', 'viewed']) expect({ what, key, n: await effects(what, key) }).toEqual({ what, key, n: upTo(45) });
      expect((await bus.outbox.stats()).transports).toMatchObject([
        { transport: 'default', backlog: 0, parked: 0 },
        { transport: 'events', backlog: 0, parked: 0 },
      ]);
    });

    it('a request is answered over the broker it came on, by a service that has only that one and by one whose default is away', async () => {
      const bus = await shop();
      await run({ service: 'ratings', store: undefined, transports: undefined, transport: overKafka() } as never, (ratings) =>
        ratings.on(RateHere, ({ n }) => `rated ${n}`, { name: 'ratings.rate' }),
      );
      expect(await bus.bus.request(new Charge(1), { key: 'a' })).toEqual({ paid: 1 });
      expect(await bus.bus.request(new Rate(2))).toBe('rated 2');
      way.refuse(true);
      expect(await bus.bus.request(new Rate(3))).toBe('rated 3');
      expect(await bus.bus.request(new Weigh(4))).toBe('weighs 4');
      way.refuse(false);
    });

    it('a message gives receipts over the broker it came on, also of a service that has only that one', async () => {
      const elsewhere = await borrowTestDatabase();
      const own = await new DataSource({ type: 'postgres', url: elsewhere.url, poolSize: 8 }).initialize();
      const bus = await shop({ receipts: true } as Partial<HoldfastOptions>);
      const alone = { service: 'ratings', store: typeorm({ dataSource: own, lanes: 2 }), transports: undefined, transport: overKafka() };
      const ratings = await run(alone as never, (made) =>
        made.on(ViewedHere, () => undefined, { name: 'ratings.count', transactional: true, idempotent: true }),
      );
      way.refuse(true);
      const { id } = await bus.bus.publish(new Viewed(1), { key: 'a', receipt: true });
      const given = await eventually(
        () => bus.outbox.receipts(id),
        ({ length }) => length === 2,
      );
      expect(given.map(({ subscription, status }) => `${subscription} ${status}`).sort()).toEqual([
        'ratings.count consumed',
        'shop.count consumed',
      ]);
      way.refuse(false);
      buses.splice(buses.indexOf(ratings), 1);
      await ratings.stop({ timeout: '5s' });
      await own.destroy();
      await elsewhere.drop();
    });

    it('a subscription gets its own types from an address, and nothing else that is sent there', async () => {
      const bus = await shop();
      await bus.unitOfWork.run({}, async () => {
        await bus.bus.publish(new Clicked(1), { key: 'a' });
        await bus.bus.publish(new Viewed(1), { key: 'a' });
        await bus.bus.publish(new Viewed(2), { key: 'a', destination: 'events:views-sampled' });
        await bus.bus.publish(new Viewed(3), { key: 'a', destination: 'default:views' });
      });
      await arrived('viewed', 1);
      await bus.settled(30_000);
      expect(await effects('viewed', 'a')).toEqual([1]);
      expect((await bus.deadLetters.list()).items).toEqual([]);
    });

    it('without a store each is waited for by itself', async () => {
      const seen: string[] = [];
      const bus = await run({ store: undefined }, (made) => {
        made.on(Viewed, ({ n }) => void seen.push(`viewed ${n}`), { name: 'shop.count' });
        const charge = ({ n }: Charge) => {
          seen.push(`charged ${n}`);
          return { paid: n };
        };
        made.on(Charge, charge, { name: 'shop.charge' });
      });
      await bus.bus.publish(new Viewed(1), { key: 'a' });
      expect(await bus.bus.request(new Charge(1))).toEqual({ paid: 1 });
      way.refuse(true);
      await bus.bus.publish(new Viewed(2), { key: 'a' });
      await eventually(
        async () => seen,
        ({ length }) => length === 3,
      );
      expect(seen.filter((each) => each.startsWith('viewed'))).toEqual(['viewed 1', 'viewed 2']);
      expect((await bus.health()).status).toBe('down');
    });
  });
});
