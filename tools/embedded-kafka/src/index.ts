export { findArtifacts, missingTools } from './artifacts.js';
export type { EmbeddedKafkaOptions, KafkaCertificates, KafkaUser } from './broker-settings.js';
export { EmbeddedKafka } from './embedded-kafka.js';
