export { findArtifacts, missingTools } from './artifacts.js';
export { EmbeddedKafka, type EmbeddedKafkaOptions, type KafkaUser } from './embedded-kafka.js';
