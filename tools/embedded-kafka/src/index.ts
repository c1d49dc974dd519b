export { findArtifacts, missingTools } from './artifacts.js';
export { EmbeddedKafka } from './embedded-kafka.js';
