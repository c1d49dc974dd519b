import { describeWithKafka, type KafkaArea, openKafka } from '@holdfast-internal/test-support';
import { transportContract } from '@holdfast/core/testing/contracts';
import { KAFKA_CAPABILITIES } from '@holdfast/transport-kafka';
import { onKafka } from './kafka-system.js';
import { runContract } from './run-contract.js';

describeWithKafka('on Kafka', () => {
  let area: KafkaArea;
  beforeAll(async () => {
    area = await openKafka();
  });
  afterAll(() => area?.clear());

  runContract(
    'the transport kafka',
    transportContract(KAFKA_CAPABILITIES),
    onKafka(() => area),
  );
});
