import { Holdfast, Message, silentLogger, subscribe } from '@holdfast/core';
import { kafka } from '@holdfast/transport-kafka';
import { type KafkaMessage, type Producer, Partitioners } from 'kafkajs';
import type { Case } from '../runner/bench.js';
import { clientOf, type KafkaPlace, makeTopics, PARTITIONS } from '../runner/kafka.js';
import { pace } from '../runner/pace.js';
import { ratioAtLeast } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { OrderPlaced } from '../shop/nest-shop.js';
import { fillTopic } from './kafka-alone.js';

/** Messages a transaction. */
const BATCH = 100;

@Message('order.counted')
class OrderCounted {
  constructor(readonly orderId: string) {}
}

/** Consume, transform, produce in transactions of 100 messages, against the same by hand with a producer for each partition. */
export const kafkaTransactions: Case = {
  name: 'kafka-transactions',
  async run(bench) {
    const count = bench.size(40_000, 8000);
    const filled = async (): Promise<KafkaPlace> => {
      const place = await bench.kafka();
      await fillTopic(place, `${place.prefix}order.placed`, count);
      await makeTopics(place, `${place.prefix}order.counted`);
      return place;
    };
    const measured = await alternate(
      bench.size(5, 3),
      async () => ours(await filled(), count),
      async () => plain(await filled(), count),
    );
    return [ratioAtLeast(0.9, { name: `Kafka transactions, ${BATCH} messages each`, unit: 'messages/s', ...measured })];
  },
};

async function ours(place: KafkaPlace, count: number): Promise<number> {
  const bus = new Holdfast({ service: 'counter', transport: kafka({ ...place, partitions: PARTITIONS }) }, { logger: silentLogger });
  bus.on(OrderPlaced, ({ orderId }) => bus.bus.publish(new OrderCounted(orderId), { key: orderId }), {
    name: 'counter.count',
    from: 'earliest',
    batchSize: BATCH,
    transactional: { protocol: 'kafka' },
  });
  let committed = 0;
  const stop = subscribe('unit:committed', ({ messages }) => {
    committed += messages;
  });
  await bus.start();
  const perSecond = await pace(count, () => committed);
  stop();
  await bus.stop();
  return perSecond;
}

async function plain(place: KafkaPlace, count: number): Promise<number> {
  const client = clientOf(place, 5);
  const group = `${place.prefix}plain`;
  const producers = new Map<number, Promise<Producer>>();
  const producerOf = (partition: number): Promise<Producer> => {
    const known = producers.get(partition) ?? openProducer(partition);
    producers.set(partition, known);
    return known;
  };
  const openProducer = async (partition: number): Promise<Producer> => {
    const options = { idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner };
    const producer = client.producer({ transactionalId: `${group}-${partition}`, ...options });
    await producer.connect();
    return producer;
  };
  let committed = 0;
  const consumer = client.consumer({ groupId: group, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic: `${place.prefix}order.placed`, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: PARTITIONS,
    eachBatch: async ({ batch: { topic, partition, messages }, resolveOffset, heartbeat }) => {
      for (let at = 0; at < messages.length; at += BATCH) {
        const some = messages.slice(at, at + BATCH);
        const next = String(BigInt(some.at(-1)?.offset ?? -1) + 1n);
        const transaction = await (await producerOf(partition)).transaction();
        await transaction.send({ topic: `${place.prefix}order.counted`, acks: -1, messages: some.map(countedByHand) });
        await transaction.sendOffsets({ consumerGroupId: group, topics: [{ topic, partitions: [{ partition, offset: next }] }] });
        await transaction.commit();
        committed += some.length;
        resolveOffset(some.at(-1)?.offset as string);
        await heartbeat();
      }
    },
  });
  const perSecond = await pace(count, () => committed);
  await consumer.disconnect();
  for (const producer of producers.values()) await (await producer).disconnect();
  return perSecond;
}

function countedByHand({ value }: KafkaMessage) {
  const { orderId } = JSON.parse(String(value)) as OrderPlaced;
  return { key: orderId, value: JSON.stringify(new OrderCounted(orderId)), headers: { 'content-type': 'application/json' } };
}
