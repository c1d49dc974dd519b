import { EmbeddedRocketmq, invoke, missingTools, type RemotingAnswer } from '@holdfast-internal/embedded-rocketmq';
import { Producer, SimpleConsumer } from 'rocketmq-client-nodejs';
import { Skipped } from './rabbit.js';

/** Queues of each topic. */
export const QUEUES = 8;
/** How long a receive waits for a message: the least that any proxy takes. */
export const AWAIT_MS = 5000;

/** Of RocketMQ's `RequestCode`. */
const CODES = { makeTopic: 17, topics: 21, cluster: 106, makeGroup: 200, groups: 201, removeGroup: 207, removeTopic: 215 } as const;
const MUTE = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Where a part of a run is on a RocketMQ: the begin of the names of its topics and groups. */
export interface RocketmqPlace {
  readonly endpoint: string;
  readonly nameServer: string;
  readonly prefix: string;
}

/** What a run has on a RocketMQ. */
export interface RocketmqArea {
  place(): RocketmqPlace;
  close(): Promise<void>;
}

/** The RocketMQ that HOLDFAST_TEST_ROCKETMQ names (`<endpoint>,<name server>`), or one that is started for the run. @throws Skipped when there is none */
export async function openRocketmq(): Promise<RocketmqArea> {
  const named = process.env.HOLDFAST_TEST_ROCKETMQ;
  const missing = named === undefined ? missingTools() : undefined;
  if (missing !== undefined) throw new Skipped(`no RocketMQ can be started (${missing}); name one with HOLDFAST_TEST_ROCKETMQ`);
  const embedded = named === undefined ? await EmbeddedRocketmq.start() : undefined;
  const [endpoint = '', nameServer = ''] = named?.split(',') ?? [embedded?.endpoint, embedded?.nameServer];
  const ours = `holdfast-bench-${process.pid}-`;
  let places = 0;
  return {
    place: () => {
      places += 1;
      return { endpoint, nameServer, prefix: `${ours}${places}_` };
    },
    close: async () => {
      if (embedded !== undefined) return embedded.remove();
      const broker = await brokerOf({ nameServer });
      for (const name of await namesIn(broker, CODES.groups, ours))
        await invoke(broker, { code: CODES.removeGroup, fields: { groupName: name } });
      for (const topic of await namesIn(broker, CODES.topics, ours)) await invoke(broker, { code: CODES.removeTopic, fields: { topic } });
    },
  };
}

/** A RocketMQ of its own, to be killed. @throws Skipped when none can be started */
export async function ownRocketmq() {
  const missing = missingTools();
  if (missing !== undefined) throw new Skipped(`no RocketMQ can be started (${missing})`);
  const embedded = await EmbeddedRocketmq.start();
  const { endpoint, nameServer } = embedded;
  return {
    place: { endpoint, nameServer },
    kill: () => embedded.kill(),
    start: () => embedded.start(),
    remove: () => embedded.remove(),
  };
}

/** The client takes away all that listens to a stream that it lets go of; its error would end the run. */
function quiet<T extends Pick<Producer, 'createTelemetryStream'>>(client: T): T {
  const create = client.createTelemetryStream.bind(client);
  client.createTelemetryStream = (endpoints) => {
    const stream = create(endpoints);
    const remove = stream.removeAllListeners.bind(stream);
    stream.removeAllListeners = () => remove().on('error', () => undefined);
    return stream;
  };
  return client;
}

/** A producer by hand that has found its topic. */
export async function producerOf({ endpoint }: RocketmqPlace, topic: string): Promise<Producer> {
  const producer = quiet(new Producer({ endpoints: endpoint, namespace: '', topics: [topic], logger: MUTE }));
  await producer.startup();
  return producer;
}

/** A consumer by hand. */
export async function consumerOf({ endpoint }: RocketmqPlace, group: string, topic: string): Promise<SimpleConsumer> {
  const options = { endpoints: endpoint, namespace: '', logger: MUTE, awaitDuration: AWAIT_MS };
  const consumer = quiet(new SimpleConsumer({ ...options, consumerGroup: group, subscriptions: new Map([[topic, '*']]) }));
  await consumer.startup();
  return consumer;
}

/** Makes a topic for messages with an order, as ours is. */
export async function makeTopic(place: RocketmqPlace, topic: string): Promise<void> {
  const numbers = { readQueueNums: `${QUEUES}`, writeQueueNums: `${QUEUES}`, perm: '6', topicSysFlag: '0' };
  const fields = { topic, defaultTopic: 'TBW102', topicFilterType: 'SINGLE_TAG', order: 'false', ...numbers };
  await ask(place, { code: CODES.makeTopic, fields: { ...fields, attributes: '+message.type=FIFO' } });
}

/** Makes a group that keeps no order, and begins with the oldest message. */
export async function makeGroup(place: RocketmqPlace, group: string): Promise<void> {
  const body = { groupName: group, consumeEnable: true, consumeFromMinEnable: true, consumeMessageOrderly: false, retryQueueNums: 1 };
  await ask(place, { code: CODES.makeGroup, body: { ...body, retryMaxTimes: 16, brokerId: 0, whichBrokerWhenConsumeSlowly: 1 } });
}

async function ask(place: RocketmqPlace, request: Parameters<typeof invoke>[1]): Promise<RemotingAnswer> {
  const answer = await invoke(await brokerOf(place), request);
  if (answer.code !== 0) throw new Error(`RocketMQ refused ${request.code}: ${answer.remark}`);
  return answer;
}

async function brokerOf({ nameServer }: Pick<RocketmqPlace, 'nameServer'>): Promise<string> {
  const { body } = await invoke(nameServer, { code: CODES.cluster });
  const [broker] = /[\d.]+:\d+/.exec(body) ?? [];
  if (broker === undefined) throw new Error(`the name server ${nameServer} knows of no broker`);
  return broker;
}

async function namesIn(broker: string, code: number, prefix: string): Promise<readonly string[]> {
  const { topicConfigTable, subscriptionGroupTable } = JSON.parse((await invoke(broker, { code })).body);
  return Object.keys(topicConfigTable ?? subscriptionGroupTable).filter((name) => name.startsWith(prefix));
}
