import { describeWithKafka, KAFKA_START_MS, type KafkaArea, openKafka, kafkaDriver } from '@holdfast-internal/test-support';
import { breakOver } from './support/over-broker.js';
import { buildPrograms, killPrograms } from './support/program.js';

describeWithKafka('over Kafka', () => {
  let area: KafkaArea | undefined;
  beforeAll(async () => {
    buildPrograms();
    area = await openKafka();
  }, KAFKA_START_MS);
  afterAll(async () => {
    await killPrograms();
    await area?.clear();
  });

  breakOver(() => {
    const { address, name, sessionMs } = area as KafkaArea;
    return {
      kafka: { brokers: [address], driver: kafkaDriver(), prefix: name(), sessionTimeout: Math.max(4000, sessionMs), partitions: 4 },
    };
  });
});
