import { EmbeddedKafka, missingTools } from '@holdfast-internal/embedded-kafka';
import { Partitioners } from 'kafkajs';
import type { Case } from '../runner/bench.js';
import { clientOf, type KafkaPlace, makeTopics } from '../runner/kafka.js';
import { Skipped } from '../runner/rabbit.js';
import { Arrivals, recoveryOf, throughTheBus, type Traffic } from './broker-recovery.js';

/** After kill -9 of a Kafka, beside a producer and a consumer of kafkajs. */
export const kafkaRecovery: Case = {
  name: 'kafka-recovery',
  async run(bench) {
    const missing = missingTools();
    if (missing !== undefined) throw new Skipped(`no Kafka can be started to be killed (${missing})`);
    const broker = await EmbeddedKafka.start();
    try {
      const place: KafkaPlace = { brokers: [broker.address], prefix: `recovery-${process.pid}.` };
      const sides = { ours: await throughTheBus(bench, { kafka: place }), raw: await byHand(place) };
      return [await recoveryOf(bench, 'Kafka', { broker, sides })];
    } finally {
      await broker.remove();
    }
  },
};

/** The same with a producer and a consumer that a careful developer has set up. */
async function byHand(place: KafkaPlace): Promise<Traffic> {
  const topic = `${place.prefix}by.hand`;
  await makeTopics(place, topic);
  const client = clientOf(place);
  const producer = client.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner });
  const consumer = client.consumer({ groupId: topic, maxWaitTimeInMs: 200, sessionTimeout: 10_000 });
  const arrivals = new Arrivals();
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message: { key } }) => arrivals.arrived(String(key)) });
  const going = arrivals.send((id) => producer.send({ topic, acks: -1, messages: [{ key: id, value: id }] }));
  return {
    arrivals,
    close: async () => {
      arrivals.stop();
      await going;
      await consumer.disconnect();
      await producer.disconnect();
    },
  };
}
