import {
  describeWithKafka,
  describeWithRabbit,
  describeWithRocketmq,
  openKafka,
  openRabbit,
  openRocketmq,
  type RocketmqArea,
} from '@holdfast-internal/test-support';

type Find = (environment: Readonly<Record<string, string>>, options?: Readonly<Record<string, unknown>>) => Promise<unknown>;

const { findKafka, findRabbit, findRocketmq } = require('./find-brokers.cjs') as Readonly<
  Record<'findKafka' | 'findRabbit' | 'findRocketmq', Find>
>;

const AS_SUCH = 'is found on the default port and by its name, and is taken for no other broker';
const tools = () => undefined;

describeWithRabbit('a RabbitMQ', () => {
  it(AS_SUCH, async () => {
    const area = await openRabbit();
    const { url, version } = area;
    const found = [await findRabbit({}, { url }), await findRabbit({ HOLDFAST_TEST_RABBITMQ: url })];
    const address = new URL(url).host;
    const others = [await findKafka({}, { address, tools }), await findRocketmq({}, { places: `${address},${address}`, tools })];
    await area.drop();
    expect(found).toEqual([
      { url, version },
      { url, version, isNamed: true },
    ]);
    expect(others).toEqual([{}, {}]);
  });
});

describeWithKafka('a Kafka', () => {
  it(AS_SUCH, async () => {
    const { address } = await openKafka();
    expect([await findKafka({}, { address }), await findKafka({ HOLDFAST_TEST_KAFKA: address })]).toEqual([
      { address },
      { address, isNamed: true },
    ]);
    const others = [findRabbit({}, { url: `amqp://${address}`, tools }), findRocketmq({}, { places: `${address},${address}`, tools })];
    expect(await Promise.all(others)).toEqual([{}, {}]);
  });
});

describeWithRocketmq('a RocketMQ', () => {
  let area: RocketmqArea;
  beforeAll(async () => {
    area = await openRocketmq();
  });

  it(AS_SUCH, async () => {
    const { endpoint, nameServer, broker } = area;
    const places = `${endpoint},${nameServer}`;
    const place = { endpoint, nameServer, broker };
    expect([await findRocketmq({}, { places }), await findRocketmq({ HOLDFAST_TEST_ROCKETMQ: places })]).toEqual([
      place,
      { ...place, isNamed: true },
    ]);
    const others = [findKafka({}, { address: nameServer, tools }), findRabbit({}, { url: `amqp://${endpoint}`, tools })];
    expect(await Promise.all(others)).toEqual([{}, {}]);
  });
});
