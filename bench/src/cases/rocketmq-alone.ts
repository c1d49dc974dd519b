import { randomUUID } from 'node:crypto';
import { Holdfast, silentLogger } from '@holdfast/core';
import { rocketmq } from '@holdfast/transport-rocketmq';
import { Message, type Producer } from 'rocketmq-client-nodejs';
import type { Case } from '../runner/bench.js';
import { pace } from '../runner/pace.js';
import { ratioAtLeast } from '../runner/result.js';
import { AWAIT_MS, consumerOf, makeGroup, makeTopic, producerOf, QUEUES, type RocketmqPlace } from '../runner/rocketmq.js';
import { alternate } from '../runner/statistics.js';
import { inParallel } from '../runner/wait.js';
import { OrderPlaced } from '../shop/nest-shop.js';

const UNIT = 'messages/s';
/** Messages on their way at once. */
const SENT_AT_ONCE = 64;
/** Handlers at work, and twice as many messages in hand: what one receive gives at most. */
const HANDLERS = 16;
const IN_HAND = 32;

/** Sending alone, without a store and each message with a key of its own, against the client by hand with the same window. */
export const rocketmqSend: Case = {
  name: 'rocketmq-send',
  async run(bench) {
    const count = bench.size(10_000, 2000);
    const place = await bench.rocketmq();
    const topic = topicIn(place);
    await makeTopic(place, topic);
    const bus = busAt(place);
    await bus.start();
    const producer = await producerOf(place, topic);
    const rate = async (send: (id: string) => Promise<unknown>): Promise<number> => {
      const startedMs = performance.now();
      await inParallel(count, SENT_AT_ONCE, () => send(randomUUID()));
      return (count / (performance.now() - startedMs)) * 1000;
    };
    const ours = () => rate((id) => bus.bus.publish(new OrderPlaced(id, 42), { key: id }));
    const measured = await alternate(bench.size(5, 3), ours, () => rate((id) => sendByHand(producer, topic, id)));
    await bus.stop();
    await producer.shutdown();
    return [ratioAtLeast(0.8, { name: 'RocketMQ: sending alone, without a store', unit: UNIT, ...measured })];
  },
};

/** Receiving alone, without a store, against the client by hand with as many messages in hand. */
export const rocketmqReceive: Case = {
  name: 'rocketmq-receive',
  async run(bench) {
    const count = bench.size(10_000, 2000);
    const ours = async (): Promise<number> => {
      const place = await bench.rocketmq();
      await fillTopic(place, count);
      let handled = 0;
      const bus = busAt(place);
      const handle = () => {
        handled += 1;
      };
      bus.on(OrderPlaced, handle, { name: 'reader.read', from: 'earliest', concurrency: HANDLERS });
      await bus.start();
      const perSecond = await pace(count, () => handled);
      await bus.stop();
      return perSecond;
    };
    const plain = async (): Promise<number> => {
      const place = await bench.rocketmq();
      await fillTopic(place, count);
      return receiveByHand(place, count);
    };
    const measured = await alternate(bench.size(5, 3), ours, plain);
    return [ratioAtLeast(0.8, { name: 'RocketMQ: receiving alone, without a store', unit: UNIT, ...measured })];
  },
};

function busAt(place: RocketmqPlace): Holdfast {
  const transport = rocketmq({ ...place, queues: QUEUES, awaitDuration: AWAIT_MS });
  return new Holdfast({ service: 'bench', transport }, { logger: silentLogger });
}

/** Where ours goes. */
function topicIn({ prefix }: RocketmqPlace): string {
  return `${prefix}order_placed`;
}

async function fillTopic(place: RocketmqPlace, count: number): Promise<void> {
  const topic = topicIn(place);
  await makeTopic(place, topic);
  const producer = await producerOf(place, topic);
  await inParallel(count, SENT_AT_ONCE, () => sendByHand(producer, topic, randomUUID()));
  await producer.shutdown();
}

function sendByHand(producer: Producer, topic: string, id: string): Promise<unknown> {
  const attributes = { id, source: 'bench', type: 'order.placed', specversion: '1.0', datacontenttype: 'application/json' };
  const properties = new Map(Object.entries(attributes).map(([name, value]) => [`CE_${name}`, value]));
  const body = Buffer.from(JSON.stringify(new OrderPlaced(id, 42)));
  return producer.send(new Message({ topic, messageGroup: id, keys: [id], body, properties }));
}

async function receiveByHand(place: RocketmqPlace, count: number): Promise<number> {
  const topic = topicIn(place);
  const group = `${place.prefix}plain`;
  await makeGroup(place, group);
  const consumer = await consumerOf(place, group, topic);
  const inHand = new Set<Promise<unknown>>();
  let handled = 0;
  let isOver = false;
  const receiving = (async () => {
    while (!isOver) {
      const room = IN_HAND - inHand.size;
      if (room === 0) await Promise.race(inHand);
      else
        for (const message of await consumer.receive(room)) {
          handled += JSON.parse(message.body.toString()).total === 42 ? 1 : 0;
          const acked = consumer.ack(message).finally(() => inHand.delete(acked));
          inHand.add(acked);
        }
    }
  })();
  const perSecond = await pace(count, () => handled);
  isOver = true;
  await receiving;
  await Promise.all(inHand);
  await consumer.shutdown();
  return perSecond;
}
