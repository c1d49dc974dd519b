// Processes over a RocketMQ that fails, and that come and go: each order has one effect, in the order of its key.
import { invoke } from '@holdfast-internal/embedded-rocketmq';
import {
  describeWithOwnRocketmq,
  describeWithRocketmq,
  EmbeddedRocketmq,
  eventually,
  holeBeforeRocketmq,
  openRocketmq,
  pause,
  type RocketmqArea,
  rocketmqAreaAt,
} from '@holdfast-internal/test-support';
import { rocketmq, type RocketmqOptions } from '@holdfast/transport-rocketmq';
import { Message, Producer } from 'rocketmq-client-nodejs';
import { expectAll, Load } from '../support/load.js';
import { numbers, OrderPlaced, Shop } from '../support/shop.js';

const ORDERED = { ordering: 'key', concurrency: 4 } as const;
const MUTE = { info: () => undefined, warn: () => undefined, error: () => undefined };

function over(options: RocketmqOptions): Promise<Shop> {
  return Shop.over(() => rocketmq({ queues: 3, requestTimeout: '3s', confirmTimeout: '5s', ...options }));
}

async function untilGrownBy(shop: Shop, count: number): Promise<void> {
  const before = (await shop.effects()).length;
  await eventually(
    () => shop.effects(),
    ({ length }) => length > before + count,
  );
}

/** Of `RequestCode`. */
const REMOVE_GROUP = 207;
const HALF = { protocol: 'half-message', timeout: '1m' } as const;

describeWithOwnRocketmq('over a RocketMQ that fails', () => {
  let broker: EmbeddedRocketmq;
  let shop: Shop;
  beforeAll(async () => {
    broker = await EmbeddedRocketmq.start();
  });
  afterAll(() => broker?.remove());
  beforeEach(async () => {
    shop = await over(rocketmqAreaAt(broker).options());
  });
  afterEach(() => shop?.close());

  it('every order has one effect, in order: broker and proxy are killed and hang under load', async () => {
    await shop.booking(undefined, ORDERED);
    await shop.booking(undefined, ORDERED);
    const load = new Load(shop, await shop.publishing());
    await untilGrownBy(shop, 30);
    await broker.kill();
    await pause(1000);
    await broker.start();
    await untilGrownBy(shop, 30);
    broker.freeze();
    await pause(5000);
    broker.thaw();
    await untilGrownBy(shop, 30);
    await load.stop();
    await expectAll(shop, load);
  });

  it('half messages that are open when proxy and broker are killed arrive once when their unit commits, and never when it does not', async () => {
    await shop.booking();
    const till = await shop.publishing();
    let end = (): void => undefined;
    const ending = new Promise<void>((resolve) => {
      end = resolve;
    });
    const sell = (n: number, until: Promise<unknown>, isUndone: boolean) =>
      till.unitOfWork.run(HALF, async () => {
        await till.bus.publish(new OrderPlaced(n));
        await until;
        if (isUndone) throw new Error('changed my mind');
      });
    await sell(0, Promise.resolve(), false);
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 1,
    );
    const open = numbers(8).map((n) => sell(n, ending, n % 2 === 0));
    await broker.kill();
    end();
    // Neither a commit nor a rollback waits for the broker.
    expect((await Promise.allSettled(open)).map(({ status }) => status)).toEqual(
      numbers(8).map((n) => (n % 2 === 0 ? 'rejected' : 'fulfilled')),
    );
    await broker.start();
    await sell(9, Promise.resolve(), false);
    const all = await eventually(
      () => shop.effects(),
      ({ length }) => length >= 6,
    );
    await eventually(
      () => till.outbox.stats(),
      ({ halfMessages }) => halfMessages === 0,
    );
    await pause(1000);
    expect(await shop.effects()).toEqual(all);
    expect(all.map(({ n }) => n).sort()).toEqual([0, 1, 3, 5, 7, 9]);
  });
});

describeWithRocketmq('over RocketMQ', () => {
  let area: RocketmqArea;
  let options: ReturnType<RocketmqArea['options']>;
  let shop: Shop;
  beforeAll(async () => {
    area = await openRocketmq();
  });
  afterAll(() => area?.clear());
  beforeEach(async () => {
    options = area.options();
    shop = await over(options);
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
    for (let n = 0; n < 2; n += 1) {
      const other = await shop.booking(fails, policies);
      await untilGrownBy(shop, 30);
      await shop.leave(other);
    }
    await load.stop();
    await expectAll(shop, load);
  });

  it('every order has one effect, in order: all connections are cut again and again under load', async () => {
    const hole = await holeBeforeRocketmq(area.endpoint);
    try {
      await shop.booking(undefined, ORDERED);
      await shop.booking(undefined, ORDERED);
      const load = new Load(shop, await shop.publishing());
      await untilGrownBy(shop, 30);
      expect(hole.connections).toBeGreaterThan(0);
      for (let cut = 0; cut < 10; cut += 1) {
        await pause(300);
        hole.cut();
      }
      await untilGrownBy(shop, 30);
      await load.stop();
      await expectAll(shop, load);
    } finally {
      await hole.close();
    }
  });

  it('a group that is deleted under a subscription is made by the broker with the next receive and misses nothing, and the next start refuses it', async () => {
    const books = await shop.booking();
    const till = await shop.publishing();
    const arrived = async (n: number) => {
      await till.bus.publish(new OrderPlaced(n));
      await eventually(
        () => shop.effects(),
        ({ length }) => length === n,
      );
    };
    await arrived(1);
    const group = `${options.prefix}shop-_shop_book`;
    expect(await area.groups(group)).toEqual([group]);
    await invoke(area.broker, { code: REMOVE_GROUP, fields: { groupName: group, cleanOffset: 'false' } });
    await arrived(2);
    await shop.leave(books);
    await expect(shop.booking()).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [expect.stringContaining('after 16 deliveries (retryMaxTimes)')] },
    });
  });

  it('a topic that was deleted is made again for the next message, which arrives', async () => {
    const till = await shop.publishing();
    const topic = `${options.prefix}shop_order--placed`;
    await till.bus.publish(new OrderPlaced(1));
    await eventually(
      () => area.topics(topic),
      ({ length }) => length === 1,
    );
    await area.clear(topic);
    expect(await area.topics(topic)).toEqual([]);
    await till.bus.publish(new OrderPlaced(2));
    await eventually(
      () => area.topics(topic),
      ({ length }) => length === 1,
    );
    await shop.booking(undefined, { from: 'earliest' });
    await eventually(
      () => shop.effects(),
      (effects) => effects.some(({ n }) => n === 2),
    );
  });

  it('a body nobody can read, of another producer, is parked with the reason, and the next one is handled', async () => {
    const bus = await shop.booking();
    const producer = new Producer({ endpoints: area.endpoint, namespace: '', logger: MUTE });
    await producer.startup();
    const told = {
      CE_id: '1',
      CE_source: 'elsewhere',
      CE_type: 'shop.order-placed',
      CE_specversion: '1.0',
      CE_datacontenttype: 'application/json',
    };
    const send = (body: string, properties: Readonly<Record<string, string>>) =>
      producer.send(
        new Message({
          topic: `${options.prefix}shop_order--placed`,
          messageGroup: 'one',
          body: Buffer.from(body),
          properties: new Map(Object.entries(properties)),
        }),
      );
    await send('{"n":', told);
    await send('what', { CE_id: 'ÿ%E0' });
    await send('{"n":7}', { ...told, CE_id: '3' });
    await producer.shutdown();
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 1,
    );
    const { items } = await eventually(
      () => bus.deadLetters.list(),
      (page) => page.items.length === 2,
    );
    expect(items.map(({ error }) => error.code)).toEqual(items.map(() => expect.stringMatching(/^HF_MESSAGE_/)));
  });
});
