import { randomUUID } from 'node:crypto';
import { type Envelope, silentLogger, systemClock, systemRandom, systemScheduler, type Transport } from '@holdfast/core';
import { type RabbitmqOptions, rabbitmq } from '@holdfast/transport-rabbitmq';
import type { Case } from '../runner/bench.js';
import { byHand, makeQueue, queuesIn, type RabbitPlace } from '../runner/rabbit.js';
import { type Result, told } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';

const BATCHES = [1, 100, 1000] as const;
/** Of a message, as the transport gets it. */
const BODY = Buffer.alloc(250, 'x');

/** Messages that share a commit, against the same batches with confirms in their window: without the database. */
export const rabbitmqPublishMode: Case = {
  name: 'rabbitmq-publish-mode',
  async run(bench) {
    const place = await bench.rabbit();
    const connection = await byHand(place);
    const channel = await connection.createChannel();
    const queue = queuesIn(place).sink;
    await makeQueue(channel, place, queue);
    const [tx, confirm] = [await publisher(place, 'tx'), await publisher(place, 'confirm')];
    const results: Result[] = [];
    for (const size of BATCHES) {
      const batches = Math.ceil(Math.min(bench.size(20_000, 3000), size * bench.size(300, 100)) / size);
      const round = async (transport: Transport): Promise<number> => {
        await channel.purgeQueue(queue);
        const startedMs = performance.now();
        for (let done = 0; done < batches; done += 1) await publishAll(transport, size);
        return ((batches * size) / (performance.now() - startedMs)) * 1000;
      };
      const measured = await alternate(
        bench.size(5, 3),
        () => round(tx),
        () => round(confirm),
      );
      results.push(told({ name: `RabbitMQ: publishMode 'tx', ${size} a commit, against 'confirm'`, unit: 'messages/s', ...measured }));
    }
    for (const transport of [tx, confirm]) await transport.close(5000);
    await connection.close();
    return results;
  },
};

async function publisher(place: RabbitPlace, publishMode: RabbitmqOptions['publishMode']): Promise<Transport> {
  const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: silentLogger };
  const transport = rabbitmq({ ...place, publishMode }).create({ service: 'bench', nodeId: randomUUID(), store: undefined, ...ports });
  await transport.start({ subscriptions: [] });
  return transport;
}

async function publishAll(transport: Transport, size: number): Promise<void> {
  const outcomes = await transport.publish(Array.from({ length: size }, newEnvelope));
  if (outcomes.some((outcome) => outcome !== 'confirmed')) throw new Error(`not confirmed: ${[...new Set(outcomes)].join(', ')}`);
}

function newEnvelope(): Envelope {
  const id = randomUUID();
  const what = { source: 'bench', type: 'order.placed', version: 1, kind: 'event', contentType: 'application/json' } as const;
  return { ...what, id, time: new Date(), headers: {}, key: id, correlationId: id, body: BODY };
}
