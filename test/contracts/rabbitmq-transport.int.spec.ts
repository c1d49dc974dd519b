import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { TransportFactory } from '@holdfast/core';
import { transportContract } from '@holdfast/core/testing/contracts';
import { RABBITMQ_CAPABILITIES, rabbitmq } from '@holdfast/transport-rabbitmq';
import { onPostgres } from './postgres-system.js';
import { runContract } from './run-contract.js';

/** Enough to see that they are shared. */
const PARTITIONS = 3;
const PARTS = ['', ':dead', ...Array.from({ length: PARTITIONS }, (_, n) => `:${n}`)];

/** How facts begin that a way to publish could break; consuming, dead letters and options are the same after both. */
const OF_PUBLISHING = [
  'a message reaches',
  'a message arrives',
  'a message that was rolled back',
  'a message has one effect',
  'a delayed message comes',
  'half messages',
  "with ordering: 'key', messages of a key are",
  "with ordering: 'key' over several",
  'without a store, a message reaches',
  'without a store, a message of a handler is one',
  'without a store, a message that nobody takes',
  'without a store, a message is finished',
  'without a store, a request is answered',
];
const MODES = [
  { publishMode: 'confirm', cases: transportContract(RABBITMQ_CAPABILITIES) },
  {
    publishMode: 'tx',
    cases: transportContract(RABBITMQ_CAPABILITIES).filter(({ name }) => OF_PUBLISHING.some((begin) => name.startsWith(begin))),
  },
] as const;

// An area each: a broker with few file handles does not hold the queues of both.
describe.each(MODES)('publishing in the mode $publishMode', ({ publishMode, cases }) => {
  describeWithRabbit('on RabbitMQ', () => {
    let area: RabbitArea;
    const all: string[] = [];
    beforeAll(async () => {
      area = await openRabbit();
    });
    afterAll(() => area.drop(all));

    /** Notes the queues of a transport, so that they are deleted behind each case. */
    const noting = (factory: TransportFactory, exchange: string, queues: string[]): TransportFactory => ({
      ...factory,
      create: (context) => {
        const transport = factory.create(context);
        const start = transport.start.bind(transport);
        transport.start = (topology) => {
          for (const { name } of topology.subscriptions)
            for (const part of PARTS) queues.push(`${exchange}/${encodeURIComponent(context.service)}${part}/${name}`);
          all.push(...queues);
          return start(topology);
        };
        return transport;
      },
    });

    runContract('the transport rabbitmq', cases, {
      open: async () => {
        const exchange = area.name();
        const queues: string[] = [];
        const options = { url: area.url, exchange, publishMode, partitions: PARTITIONS };
        const system = await onPostgres(() => noting(rabbitmq(options), exchange, queues));
        return {
          ...system,
          drop: async () => {
            await system.drop();
            await area.clear(queues);
          },
        };
      },
    });
  });
});
