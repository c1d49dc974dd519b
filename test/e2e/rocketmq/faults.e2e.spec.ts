// Processes over RocketMQ that come and go: each order has one effect, in the order of its key.
import {
  describeWithRocketmq,
  eventuallyWithin,
  openRocketmq,
  ROCKETMQ_START_MS,
  type RocketmqArea,
} from '@holdfast-internal/test-support';
import { rocketmq, type RocketmqOptions } from '@holdfast/transport-rocketmq';
import { Message, Producer } from 'rocketmq-client-nodejs';
import { expectAll, Load } from '../support/load.js';
import { Shop } from '../support/shop.js';

const eventually = eventuallyWithin(60_000);
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

describeWithRocketmq('over RocketMQ', () => {
  jest.setTimeout(120_000);
  let area: RocketmqArea;
  let options: ReturnType<RocketmqArea['options']>;
  let shop: Shop;
  beforeAll(async () => {
    area = await openRocketmq();
  }, ROCKETMQ_START_MS);
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
