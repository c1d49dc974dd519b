import { describeWithConfluent, type KafkaArea, openKafka } from '@holdfast-internal/test-support';
import { transportContract } from '@holdfast/core/testing/contracts';
import { KAFKA_CAPABILITIES } from '@holdfast/transport-kafka';
import { onKafka } from './kafka-system.js';
import { runContract } from './run-contract.js';

describeWithConfluent('on Kafka with the second driver', () => {
  let area: KafkaArea;
  beforeAll(async () => {
    area = await openKafka();
  });
  afterAll(() => area?.clear());

  for (const groupProtocol of ['classic', 'consumer'] as const)
    runContract(
      `the transport kafka, driver confluent, groups ${groupProtocol}`,
      transportContract(KAFKA_CAPABILITIES),
      onKafka(() => area, { driver: 'confluent', groupProtocol }),
    );
});
