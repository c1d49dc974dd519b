// Processes over a Kafka that fails, and that come and go: each order has one effect, in the order of its key.
import {
  describeWithKafka,
  describeWithOwnKafka,
  EmbeddedKafka,
  eventually,
  type KafkaArea,
  kafkaDriver,
  KafkaProxy,
  openKafka,
  pause,
} from '@holdfast-internal/test-support';
import { kafka, type KafkaOptions } from '@holdfast/transport-kafka';
import { expectAll, hasGrown, Load } from '../support/load.js';
import { Shop } from '../support/shop.js';

const ORDERED = { ordering: 'key', concurrency: 4 } as const;

function over(options: KafkaOptions): Promise<Shop> {
  return Shop.over(() =>
    kafka({ driver: kafkaDriver(), partitions: 3, sessionTimeout: '3s', requestTimeout: '3s', confirmTimeout: '5s', ...options }),
  );
}

describeWithOwnKafka('over a Kafka that fails', () => {
  let broker: EmbeddedKafka;
  let shop: Shop;
  beforeAll(async () => {
    broker = await EmbeddedKafka.start();
  });
  afterAll(() => broker?.remove());
  afterEach(() => shop?.close());

  it('every order has one effect, in order: the broker is killed and hangs under load', async () => {
    shop = await over({ brokers: [broker.address] });
    await shop.booking(undefined, ORDERED);
    await shop.booking(undefined, ORDERED);
    const load = new Load(shop, await shop.publishing());
    const grown = () => hasGrown(shop);
    await grown();
    await broker.kill();
    await pause(1000);
    await broker.start();
    await grown();
    broker.freeze();
    await pause(5000);
    broker.thaw();
    await grown();
    await load.stop();
    await expectAll(shop, load);
  });
});

describeWithKafka('over Kafka', () => {
  let area: KafkaArea;
  let shop: Shop;
  let prefix: string;
  beforeAll(async () => {
    area = await openKafka();
  });
  afterAll(() => area?.clear());
  beforeEach(async () => {
    prefix = area.name();
    shop = await over({ brokers: [area.address], prefix, sessionTimeout: Math.max(3000, area.sessionMs) });
  });
  afterEach(() => shop.close());

  it('every order has one effect, in order: processes come and go, and one of five attempts fails', async () => {
    let attempts = 0;
    const fails = () => {
      attempts += 1;
      if (attempts % 5 === 0) throw new Error('not yet');
    };
    const policies = { ...ORDERED, retry: { attempts: 20, backoff: { delay: 30, jitter: 'none' } } } as const;
    await shop.booking(fails, policies);
    const load = new Load(shop, await shop.publishing());
    for (let n = 0; n < 3; n += 1) {
      const other = await shop.booking(fails, policies);
      const before = (await shop.effects()).length;
      await eventually(
        () => shop.effects(),
        ({ length }) => length > before + 40,
      );
      await shop.leave(other);
    }
    await load.stop();
    await expectAll(shop, load);
  });

  it('every order has one effect, in order: all connections are cut again and again under load', async () => {
    const proxy = await KafkaProxy.before(area.address);
    const through = await over({ brokers: [proxy.address], prefix, sessionTimeout: Math.max(3000, area.sessionMs) });
    try {
      await through.booking(undefined, ORDERED);
      await through.booking(undefined, ORDERED);
      const load = new Load(through, await through.publishing());
      await hasGrown(through);
      for (let cut = 0; cut < 10; cut += 1) {
        await pause(300);
        proxy.cut();
      }
      await hasGrown(through);
      await load.stop();
      await expectAll(through, load);
    } finally {
      await through.close();
      await proxy.close();
    }
  });

  it('a body nobody can read, of another producer, is parked with the reason, and the next one is handled', async () => {
    const bus = await shop.booking();
    const producer = area.client.producer();
    await producer.connect();
    const headers = {
      'content-type': 'application/json',
      ce_id: '1',
      ce_source: 'elsewhere',
      ce_type: 'shop.order-placed',
      ce_specversion: '1.0',
    };
    await producer.send({
      topic: `${prefix}shop.order-placed`,
      messages: [
        { partition: 0, value: '{"n":', headers },
        { partition: 0, value: null },
        { partition: 0, value: 'what', headers: { ce_id: 'ÿ' } },
        { partition: 0, key: 'k', value: '{"n":7}', headers: { ...headers, ce_id: '2' } },
      ],
    });
    await producer.disconnect();
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 1,
    );
    expect(await shop.effects()).toEqual([{ key: 'k', n: 7 }]);
    const { items } = await eventually(
      () => bus.deadLetters.list(),
      (page) => page.items.length === 3,
    );
    expect(items.map(({ error, body }) => `${error.code} ${Buffer.from(body)}`).sort()).toEqual([
      'HF_MESSAGE_FOREIGN ',
      'HF_MESSAGE_ID what',
      'HF_MESSAGE_UNREADABLE {"n":',
    ]);
  });
});
