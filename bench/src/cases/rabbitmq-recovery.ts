import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedRabbitmq, missingTools } from '@holdfast-internal/embedded-rabbitmq';
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import type { Case } from '../runner/bench.js';
import { byHand as connected, makeQueue, queuesIn, type RabbitPlace, Skipped } from '../runner/rabbit.js';
import { Arrivals, recoveryOf, throughTheBus, type Traffic } from './broker-recovery.js';

/** Between two tries to connect by hand. */
const AGAIN_MS = 50;

/** After kill -9 of a RabbitMQ, beside one connection of amqplib that is made anew when it is gone. */
export const rabbitmqRecovery: Case = {
  name: 'rabbitmq-recovery',
  async run(bench) {
    const missing = missingTools();
    if (missing !== undefined) throw new Skipped(`no RabbitMQ can be started to be killed (${missing})`);
    const broker = await EmbeddedRabbitmq.start();
    try {
      const place = { url: broker.url, exchange: 'recovery' };
      const sides = { ours: await throughTheBus(bench, { rabbit: place }), raw: await byHand({ ...place, exchange: 'by-hand' }) };
      return [await recoveryOf(bench, 'RabbitMQ', { broker, sides })];
    } finally {
      await broker.remove();
    }
  },
};

/** What a careful developer has set up: a quorum queue, confirms, and a loop that connects again. */
async function byHand(place: RabbitPlace): Promise<Traffic> {
  const arrivals = new Arrivals();
  const queue = queuesIn(place).hand;
  let isOver = false;
  let connection: ChannelModel | undefined;
  let channel: ConfirmChannel | undefined;
  const work = async () => {
    connection = await connected(place);
    const lost = new Promise((resolve) => connection?.on('error', () => undefined).once('close', resolve));
    const own = await connection.createConfirmChannel();
    own.on('error', () => undefined);
    await makeQueue(own, place, queue);
    await own.consume(queue, (message) => {
      if (message === null) return;
      arrivals.arrived(message.content.toString());
      own.ack(message);
    });
    channel = own;
    await lost;
  };
  const connecting = (async () => {
    for (; !isOver; await sleep(AGAIN_MS)) {
      await work().catch(() => undefined);
      channel = undefined;
    }
  })();
  const send = async (id: string) => {
    channel?.publish(place.exchange, 'order', Buffer.from(id), { persistent: true, mandatory: true });
    await channel?.waitForConfirms();
  };
  const going = arrivals.send(send);
  return {
    arrivals,
    close: async () => {
      isOver = true;
      arrivals.stop();
      await going;
      await connection?.close().catch(() => undefined);
      await connecting;
    },
  };
}
