import { randomUUID } from 'node:crypto';
import { Holdfast, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import type { Channel } from 'amqplib';
import { AHEAD } from '../hand/hand-rabbit-consumer.js';
import { publishConfirmed, WINDOW } from '../hand/hand-rabbit-shop.js';
import type { Bench, Case } from '../runner/bench.js';
import { pace } from '../runner/pace.js';
import { byHand, makeQueue, queuesIn, type RabbitPlace } from '../runner/rabbit.js';
import { ratioAtLeast } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { inParallel } from '../runner/wait.js';
import { NestShop, OrderPlaced } from '../shop/nest-shop.js';
import { HANDLERS, Ledger } from '../shop/shop.js';
import { fill, handRabbitIn } from '../shop/side.js';

const UNIT = 'messages/s';

/** Publishing alone: a full outbox to the broker, through the relay, against a poller by hand with the same window. */
export const rabbitmqPublish: Case = {
  name: 'rabbitmq-publish',
  async run(bench) {
    const count = bench.size(20_000, 10_000);
    const ours = await ourOutbox(bench);
    const hand = await handRabbitIn(bench, 0);
    const handPlace = hand.shop.at as RabbitPlace;
    const watch = await byHand(handPlace);
    const depths = await watch.createChannel();
    const byPoller = async (): Promise<number> => {
      const queue = queuesIn(handPlace).hand;
      await depths.purgeQueue(queue);
      await fill(count, (orders) => hand.shop.placeAll(orders));
      hand.shop.startPolling();
      const perSecond = await pace(count, () => depthOf(depths, queue));
      await hand.shop.stopPolling();
      return perSecond;
    };
    const measured = await alternate(bench.size(5, 3), () => ours.round(count), byPoller);
    await ours.close();
    await watch.close();
    await hand.shop.close();
    await hand.ledger.close();
    return [ratioAtLeast(0.7, { name: 'RabbitMQ: publishing alone, a full outbox through the relay', unit: UNIT, ...measured })];
  },
};

/** Consuming alone, without a store, against a plain consumer with the same prefetch. */
export const rabbitmqConsume: Case = {
  name: 'rabbitmq-consume',
  async run(bench) {
    const count = bench.size(30_000, 5000);
    const place = await bench.rabbit();
    const connection = await byHand(place);
    const channel = await connection.createConfirmChannel();
    const { read, hand } = queuesIn(place);
    // Makes its queue.
    await (await reader(place, () => undefined)).stop();
    await makeQueue(channel, { ...place, exchange: `${place.exchange}_hand` }, hand);
    const fillQueue = (queue: string) =>
      inParallel(count, WINDOW, () => {
        const id = randomUUID();
        const attributes = { specversion: '1.0', id, source: 'bench', type: 'order.placed', time: new Date().toISOString() };
        const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`cloudEvents:${name}`, value]));
        return publishConfirmed(channel, ['', queue], { body: JSON.stringify(new OrderPlaced(id, 42)), messageId: id, headers });
      });
    const ours = async (): Promise<number> => {
      await fillQueue(read);
      let handled = 0;
      const bus = await reader(place, () => {
        handled += 1;
      });
      const perSecond = await pace(count, () => handled);
      await bus.stop();
      return perSecond;
    };
    const plain = async (): Promise<number> => {
      await fillQueue(hand);
      let handled = 0;
      const consuming = await connection.createChannel();
      await consuming.prefetch(AHEAD * HANDLERS);
      await consuming.consume(hand, (message) => {
        if (message === null) return;
        handled += JSON.parse(message.content.toString()).total === 42 ? 1 : 0;
        consuming.ack(message);
      });
      const perSecond = await pace(count, () => handled);
      await consuming.close();
      return perSecond;
    };
    const measured = await alternate(bench.size(5, 3), ours, plain);
    await channel.deleteExchange(`${place.exchange}_hand`);
    await connection.close();
    return [ratioAtLeast(0.7, { name: 'RabbitMQ: consuming alone, without a store', unit: UNIT, ...measured })];
  },
};

/** One service fills the outbox, and another one, which is started for each round, sends what is in it. */
async function ourOutbox(bench: Bench) {
  const [url, rabbit] = [await bench.database(), await bench.rabbit()];
  const ledger = new Ledger(url);
  await ledger.createTables();
  const filler = await NestShop.open({ url, rabbit, relay: false });
  const watch = await byHand(rabbit);
  const channel = await watch.createChannel();
  const queue = queuesIn(rabbit).sink;
  await makeQueue(channel, rabbit, queue);
  return {
    round: async (count: number): Promise<number> => {
      await channel.purgeQueue(queue);
      await fill(count, (orders) => filler.placeAll(orders));
      const sender = await NestShop.open({ url, rabbit });
      const perSecond = await pace(count, () => depthOf(channel, queue));
      await sender.close();
      return perSecond;
    },
    close: async (): Promise<void> => {
      await filler.close();
      await watch.close();
      await ledger.close();
    },
  };
}

async function reader({ url, exchange }: RabbitPlace, handle: () => void): Promise<Holdfast> {
  const bus = new Holdfast({ service: 'reader', transport: rabbitmq({ url, exchange }) }, { logger: silentLogger });
  bus.on(OrderPlaced, handle, { name: 'reader.read', transactional: false });
  await bus.start();
  return bus;
}

async function depthOf(channel: Channel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount;
}
