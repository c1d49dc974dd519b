import { describeWithConfluent, KAFKA_START_MS, type KafkaArea, openKafka } from '@holdfast-internal/test-support';
import { transportContract } from '@holdfast/core/testing/contracts';
import { KAFKA_CAPABILITIES, kafka } from '@holdfast/transport-kafka';
import { onPostgres } from './postgres-system.js';
import { runContract } from './run-contract.js';

/** Enough to see that they are shared. */
const PARTITIONS = 3;

describeWithConfluent('on Kafka with the second driver', () => {
  let area: KafkaArea;
  beforeAll(async () => {
    area = await openKafka();
  }, KAFKA_START_MS);
  afterAll(() => area?.clear());

  for (const groupProtocol of ['classic', 'consumer'] as const)
    runContract(`the transport kafka, driver confluent, groups ${groupProtocol}`, transportContract(KAFKA_CAPABILITIES), {
      open: async () => {
        const prefix = area.name();
        const options = { brokers: [area.address], prefix, partitions: PARTITIONS, driver: 'confluent', groupProtocol } as const;
        const system = await onPostgres(() => kafka(options));
        return {
          ...system,
          drop: async () => {
            await system.drop();
            await area.clear(prefix);
          },
        };
      },
    });
});
