import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { TransportFactory } from '@holdfast/core';
import { transportContract } from '@holdfast/core/testing/contracts';
import { RABBITMQ_CAPABILITIES, rabbitmq } from '@holdfast/transport-rabbitmq';
import { onPostgres } from './postgres-system.js';
import { runContractInTurn } from './run-contract.js';

/** Enough to see that they are shared. */
const PARTITIONS = 3;
const PARTS = ['', ':dead', ...Array.from({ length: PARTITIONS }, (_, n) => `:${n}`)];

// An area each: a broker with few file handles does not hold the queues of both.
describe.each(['confirm', 'tx'] as const)('publishing in the mode %s', (publishMode) => {
  describeWithRabbit('on RabbitMQ', () => {
    let area: RabbitArea;
    const queues: string[] = [];
    beforeAll(async () => {
      area = await openRabbit();
    });
    afterAll(() => area.drop(queues));

    /** Notes the queues of a transport, so that they are deleted behind each case. */
    const noting = (factory: TransportFactory, exchange: string): TransportFactory => ({
      ...factory,
      create: (context) => {
        const transport = factory.create(context);
        const start = transport.start.bind(transport);
        transport.start = (topology) => {
          for (const { name } of topology.subscriptions)
            for (const part of PARTS) queues.push(`${exchange}/${encodeURIComponent(context.service)}${part}/${name}`);
          return start(topology);
        };
        return transport;
      },
    });

    runContractInTurn('the transport rabbitmq', transportContract(RABBITMQ_CAPABILITIES), {
      open: async () => {
        const exchange = area.name();
        const options = { url: area.url, exchange, publishMode, partitions: PARTITIONS };
        const system = await onPostgres(() => noting(rabbitmq(options), exchange));
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
