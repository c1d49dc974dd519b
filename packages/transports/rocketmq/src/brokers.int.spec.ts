import { invoke } from '@holdfast-internal/embedded-rocketmq';
import { describeWithOwnRocketmq, EmbeddedRocketmq, rocketmqAreaAt, specOf } from '@holdfast-internal/test-support';
import { silentLogger } from '@holdfast/core';
import { Names } from './names.js';
import { administerWith } from './remoting-admin.js';
import { Scene } from './rocketmq-scene.spec.js';
import { settingsFrom } from './settings.js';
import { RocketmqTopology } from './topology.js';

/** Of `RequestCode`. */
const CODES = { send: 10, queryPosition: 14, makeTopic: 17, makeGroup: 200, groups: 201 } as const;
const QUEUES = 2;

describeWithOwnRocketmq('a RocketMQ of two brokers', () => {
  let rocketmq: EmbeddedRocketmq | undefined;
  let one: string;
  let other: string;
  let scene: Scene;
  beforeAll(async () => {
    rocketmq = await EmbeddedRocketmq.start();
    one = rocketmq.broker;
    other = await rocketmq.addBroker('broker-b');
  });
  afterAll(() => rocketmq?.remove());
  beforeEach(() => {
    scene = new Scene(rocketmqAreaAt(rocketmq as EmbeddedRocketmq));
  });
  afterEach(() => scene.close());

  const ordered = specOf('reader', { ordering: 'key' });
  const start = (topology: 'assert' | 'check' = 'assert', spec = ordered) =>
    scene.transport({ topology, queues: QUEUES }).start({ subscriptions: [spec] });
  const makeTopicOn = (address: string) => {
    const numbers = { readQueueNums: `${QUEUES}`, writeQueueNums: `${QUEUES}`, perm: '6', topicSysFlag: '0' };
    const names = { topic: scene.topicOf(), defaultTopic: 'TBW102', topicFilterType: 'SINGLE_TAG', order: 'false' };
    return invoke(address, { code: CODES.makeTopic, fields: { ...names, ...numbers, attributes: '+message.type=FIFO' } });
  };
  const makeGroupOn = (address: string, consumeMessageOrderly = true) =>
    invoke(address, {
      code: CODES.makeGroup,
      body: { groupName: scene.groupOf(), consumeEnable: true, consumeMessageOrderly, retryMaxTimes: 20_000 },
    });
  const groupOn = async (address: string) =>
    JSON.parse((await invoke(address, { code: CODES.groups })).body).subscriptionGroupTable[scene.groupOf()];
  /** Messages in the first queue of it. */
  const sendTo = async (address: string, count: number) => {
    const numbers = {
      defaultTopicQueueNums: '2',
      queueId: '0',
      sysFlag: '0',
      flag: '0',
      reconsumeTimes: '0',
      bornTimestamp: `${Date.now()}`,
    };
    const fields = { producerGroup: 'foreign', topic: scene.topicOf(), defaultTopic: 'TBW102', properties: '', ...numbers };
    for (let n = 0; n < count; n += 1) await invoke(address, { code: CODES.send, fields, body: Buffer.from('x') });
  };
  const positionOn = async (address: string, queueId = '0') => {
    const fields = { topic: scene.topicOf(), consumerGroup: scene.groupOf(), queueId, setZeroIfNotFound: 'false' };
    const { code, fields: found } = await invoke(address, { code: CODES.queryPosition, fields });
    return code === 0 ? Number(found.offset) : undefined;
  };

  it('has a group on each of them, also when one had it already, which stays as it is there', async () => {
    await makeGroupOn(one);
    await start();
    expect(await groupOn(one)).toMatchObject({ consumeMessageOrderly: true, retryMaxTimes: 20_000 });
    expect(await groupOn(other)).toMatchObject({ consumeMessageOrderly: true, retryMaxTimes: 1_000_000 });
  });

  it('is refused where a group keeps an order on one of them only, and nothing is made', async () => {
    await makeGroupOn(other, false);
    await expect(start()).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [expect.stringContaining(`the group ${scene.groupOf()} keeps no order (consumeMessageOrderly)`)] },
    });
    expect(await groupOn(one)).toBeUndefined();
    await makeGroupOn(one);
    await expect(start()).rejects.toMatchObject({ details: { problems: [expect.stringContaining('keeps no order')] } });
  });

  it('is refused where one of them has the topic and not the group, and is taken where the other one has neither', async () => {
    await Promise.all([makeTopicOn(one), makeGroupOn(one)]);
    await start('check');
    await makeTopicOn(other);
    await expect(start('check')).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [`the group ${scene.groupOf()} is not on the broker broker-b`] },
    });
  });

  it('has the beginning of a new group at the end of each queue of both, and of one that stands somewhere in none that it would skip', async () => {
    await Promise.all([makeTopicOn(one), makeTopicOn(other)]);
    await Promise.all([sendTo(one, 3), sendTo(other, 5)]);
    await start();
    expect(await Promise.all([one, other].flatMap((each) => [positionOn(each), positionOn(each, '1')]))).toEqual([3, 0, 5, 0]);
    await sendTo(other, 1);
    await start();
    expect(await positionOn(other)).toBe(5);
  });

  it('is read from the beginning on a broker that a topic has come to since', async () => {
    await makeTopicOn(one);
    await sendTo(one, 3);
    await start();
    await makeTopicOn(other);
    await sendTo(other, 5);
    await start();
    expect([await positionOn(one), await positionOn(other)]).toEqual([3, 0]);
  });

  it('has a topic, for who publishes, also while one of those that have it hangs', async () => {
    await Promise.all([makeTopicOn(one), makeTopicOn(other)]);
    const settings = settingsFrom({ ...scene.options, requestTimeout: '2s' });
    const parts = { administer: administerWith(settings), settings, logger: silentLogger };
    const topology = new RocketmqTopology({ ...parts, names: new Names(settings, 'scene'), hasStore: true });
    const nowhere = scene.topicOf('scene_other');
    rocketmq?.freeze();
    try {
      const wanted = new Map([scene.topicOf(), nowhere].map((topic) => [topic, false]));
      expect(await topology.missing(wanted)).toEqual(new Set([nowhere]));
    } finally {
      rocketmq?.thaw();
    }
  });
});
