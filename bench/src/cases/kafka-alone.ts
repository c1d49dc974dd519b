import { randomUUID } from 'node:crypto';
import { Holdfast, silentLogger } from '@holdfast/core';
import { kafka } from '@holdfast/transport-kafka';
import type { Bench, Case } from '../runner/bench.js';
import { asAdmin, clientOf, type KafkaPlace, makeTopics, PARTITIONS, recordsIn } from '../runner/kafka.js';
import { pace } from '../runner/pace.js';
import { ratioAtLeast } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { NestShop, OrderPlaced } from '../shop/nest-shop.js';
import { Ledger } from '../shop/shop.js';
import { fill, handKafkaIn } from '../shop/side.js';

const UNIT = 'messages/s';
/** Records of one request, when a topic is filled. */
const FILL = 1000;

/** Appends CloudEvents to a topic that is made for them. */
export async function fillTopic(place: KafkaPlace, topic: string, count: number): Promise<void> {
  await makeTopics(place, topic);
  const producer = clientOf(place).producer();
  await producer.connect();
  for (let done = 0; done < count; done += FILL) {
    const messages = Array.from({ length: Math.min(FILL, count - done) }, () => {
      const id = randomUUID();
      const headers = { ce_specversion: '1.0', ce_id: id, ce_source: 'bench', ce_type: 'order.placed', 'content-type': 'application/json' };
      return { key: id, value: JSON.stringify(new OrderPlaced(id, 42)), headers };
    });
    await producer.send({ topic, messages });
  }
  await producer.disconnect();
}

/** Publishing alone: a full outbox to the broker, through the relay, against a poller by hand with the same acks. */
export const kafkaPublish: Case = {
  name: 'kafka-publish',
  async run(bench) {
    const count = bench.size(20_000, 10_000);
    const ours = await ourOutbox(bench);
    const hand = await handKafkaIn(bench, 0);
    const byPoller = async (): Promise<number> => {
      await fill(count, (orders) => hand.shop.placeAll(orders));
      return asAdmin(hand.shop.at as KafkaPlace, async (admin) => {
        const before = await recordsIn(admin, hand.shop.topic);
        hand.shop.startPolling();
        const perSecond = await pace(count, async () => (await recordsIn(admin, hand.shop.topic)) - before);
        await hand.shop.stopPolling();
        return perSecond;
      });
    };
    const measured = await alternate(bench.size(5, 3), () => ours.round(count), byPoller);
    await ours.close();
    await hand.shop.close();
    await hand.ledger.close();
    return [ratioAtLeast(0.7, { name: 'Kafka: publishing alone, a full outbox through the relay', unit: UNIT, ...measured })];
  },
};

/** Share of a round that does not count, so that a side is up to speed. */
const HEAD = 0.1;

/** Takes the time of messages as they are read: a reader is done with thousands between two looks from outside. */
class Reading {
  private messages = 0;
  private beginMs = 0;
  private readonly done: Promise<void>;
  private end: () => void = () => undefined;

  constructor(private readonly count: number) {
    this.done = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  read(count: number): void {
    this.messages += count;
    if (this.messages === this.head) this.beginMs = performance.now();
    if (this.messages === this.count) this.end();
  }

  /** Of what comes after the beginning. */
  async perSecond(): Promise<number> {
    await this.done;
    return ((this.count - this.head) / (performance.now() - this.beginMs)) * 1000;
  }

  private get head(): number {
    return Math.round(this.count * HEAD);
  }
}

/** Consuming alone, without a store, against `eachBatch`. */
export const kafkaConsume: Case = {
  name: 'kafka-consume',
  async run(bench) {
    const count = bench.size(200_000, 40_000);
    const ours = async (): Promise<number> => {
      const place = await bench.kafka();
      await fillTopic(place, `${place.prefix}order.placed`, count);
      const reading = new Reading(count);
      const transport = kafka({ ...place, partitions: PARTITIONS });
      const bus = new Holdfast({ service: 'reader', transport }, { logger: silentLogger });
      bus.on(OrderPlaced, () => reading.read(1), { name: 'reader.read', from: 'earliest' });
      await bus.start();
      const perSecond = await reading.perSecond();
      await bus.stop();
      return perSecond;
    };
    const plain = async (): Promise<number> => {
      const place = await bench.kafka();
      await fillTopic(place, `${place.prefix}order.placed`, count);
      const reading = new Reading(count);
      const consumer = clientOf(place).consumer({ groupId: `${place.prefix}plain`, maxWaitTimeInMs: 200 });
      await consumer.connect();
      await consumer.subscribe({ topic: `${place.prefix}order.placed`, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        eachBatch: async ({ batch: { topic, partition, messages } }) => {
          for (const { value } of messages) reading.read(JSON.parse(String(value)).total === 42 ? 1 : 0);
          await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(messages.at(-1)?.offset ?? -1) + 1n) }]);
        },
      });
      const perSecond = await reading.perSecond();
      await consumer.disconnect();
      return perSecond;
    };
    const measured = await alternate(bench.size(5, 3), ours, plain);
    return [ratioAtLeast(0.7, { name: 'Kafka: consuming alone, without a store', unit: UNIT, ...measured })];
  },
};

/** One service fills the outbox, and another one, which is started for each round, sends what is in it. */
async function ourOutbox(bench: Bench) {
  const [url, place] = [await bench.database(), await bench.kafka()];
  const ledger = new Ledger(url);
  await ledger.createTables();
  const filler = await NestShop.open({ url, kafka: place, relay: false });
  const topic = `${place.prefix}order.placed`;
  await makeTopics(place, topic);
  return {
    round: (count: number): Promise<number> =>
      asAdmin(place, async (admin) => {
        const before = await recordsIn(admin, topic);
        // Without a key, as the poller's: nothing has to come one after another.
        await fill(count, (orders) => filler.placeAll(orders, () => undefined));
        const sender = await NestShop.open({ url, kafka: place });
        const perSecond = await pace(count, async () => (await recordsIn(admin, topic)) - before);
        await sender.close();
        return perSecond;
      }),
    close: async (): Promise<void> => {
      await filler.close();
      await ledger.close();
    },
  };
}
