export type { EmbeddedKafkaOptions, KafkaCertificates, KafkaUser } from './broker-settings.js';
export { EmbeddedKafka, missingTools } from './embedded-kafka.js';
