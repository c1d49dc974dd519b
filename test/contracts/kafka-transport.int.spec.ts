import { describeWithKafka, KAFKA_START_MS, type KafkaArea, openKafka } from '@holdfast-internal/test-support';
import { transportContract } from '@holdfast/core/testing/contracts';
import { KAFKA_CAPABILITIES, kafka } from '@holdfast/transport-kafka';
import { onPostgres } from './postgres-system.js';
import { runContract } from './run-contract.js';

/** Enough to see that they are shared. */
const PARTITIONS = 3;

describeWithKafka('on Kafka', () => {
  let area: KafkaArea;
  beforeAll(async () => {
    area = await openKafka();
  }, KAFKA_START_MS);
  afterAll(() => area?.clear());

  runContract('the transport kafka', transportContract(KAFKA_CAPABILITIES), {
    open: async () => {
      const prefix = area.name();
      const options = { brokers: [area.address], prefix, partitions: PARTITIONS };
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
