import { randomUUID } from 'node:crypto';
import { Holdfast, silentLogger } from '@holdfast/core';
import { rocketmq } from '@holdfast/transport-rocketmq';
import { Message } from 'rocketmq-client-nodejs';
import type { Case } from '../runner/bench.js';
import { atMostAbove } from '../runner/result.js';
import { consumerOf, makeGroup, makeTopic, ownRocketmq, producerOf, QUEUES, type RocketmqPlace } from '../runner/rocketmq.js';
import { median } from '../runner/statistics.js';
import { until } from '../runner/wait.js';
import { OrderPlaced } from '../shop/nest-shop.js';

/** Between two tries of a side that has not come back. */
const AGAIN_MS = 50;
const PATIENCE_MS = 120_000;

/** One side: sends again and again, and tells when something that was sent after a moment has come through. */
interface Side {
  send(id: string): Promise<unknown>;
  readonly seen: ReadonlySet<string>;
  close(): Promise<unknown>;
}

/** How long after the broker is there again a message comes through, of a bus without a store and of the client by hand, which both lived through its death. */
export const rocketmqRecovery: Case = {
  name: 'rocketmq-recovery',
  async run(bench) {
    const broker = await ownRocketmq();
    const sides = [await ourSide({ ...broker.place, prefix: 'ours_' }), await handSide({ ...broker.place, prefix: 'hand_' })] as const;
    await Promise.all(sides.map(untilThrough));
    const rounds: (readonly [number, number])[] = [];
    for (let round = 0; round < bench.size(5, 3); round += 1) {
      await broker.kill();
      await broker.start();
      rounds.push((await Promise.all(sides.map(untilThrough))) as [number, number]);
      bench.note(
        `through again after ${rounds
          .at(-1)
          ?.map((ms) => `${(ms / 1000).toFixed(1)} s`)
          .join(', by hand ')}`,
      );
    }
    await Promise.all(sides.map((side) => side.close()));
    await broker.remove();
    const [value, reference] = [0, 1].map((side) => median(rounds.map((each) => each[side] as number)) / 1000) as [number, number];
    return [atMostAbove(2, { name: 'RocketMQ: through again after kill -9 of the broker, once it is back', value, reference, unit: 's' })];
  },
};

/** Milliseconds until something that is sent from now on has been received. */
async function untilThrough(side: Side): Promise<number> {
  const startedMs = performance.now();
  const sent = new Set<string>();
  let isThrough = false;
  const sending = (async () => {
    while (!isThrough) {
      const id = randomUUID();
      sent.add(id);
      await side.send(id).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  })();
  await until('a message comes through', PATIENCE_MS, () => [...sent].some((id) => side.seen.has(id)));
  isThrough = true;
  const tookMs = performance.now() - startedMs;
  await sending;
  return tookMs;
}

async function ourSide(place: RocketmqPlace): Promise<Side> {
  const seen = new Set<string>();
  const bus = new Holdfast({ service: 'bench', transport: rocketmq({ ...place, queues: QUEUES }) }, { logger: silentLogger });
  bus.on(OrderPlaced, ({ orderId }) => void seen.add(orderId), { name: 'reader.read', from: 'earliest' });
  await bus.start();
  return { seen, send: (id) => bus.bus.publish(new OrderPlaced(id, 42), { key: id }), close: () => bus.stop() };
}

async function handSide(place: RocketmqPlace): Promise<Side> {
  const [topic, group] = [`${place.prefix}orders`, `${place.prefix}reader`];
  await makeTopic(place, topic);
  await makeGroup(place, group);
  const producer = await producerOf(place, topic);
  const consumer = await consumerOf(place, group, topic);
  const seen = new Set<string>();
  let isOver = false;
  const receiving = (async () => {
    while (!isOver) {
      try {
        for (const message of await consumer.receive(32)) {
          seen.add(message.body.toString());
          await consumer.ack(message);
        }
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  })();
  return {
    seen,
    send: (id) => producer.send(new Message({ topic, messageGroup: id, body: Buffer.from(id) })),
    close: async () => {
      isOver = true;
      await receiving;
      await Promise.all([producer.shutdown(), consumer.shutdown()]);
    },
  };
}
