export { Authority, type Certificate } from './certificates.js';
export { Catcher, envelopeOf, PausableSink, quiet, readBack, specOf, textOf } from './catcher.js';
export { type BlackHole, holeBeforeRocketmq, openBlackHole } from './black-hole.js';
export {
  addressBy,
  countingProxy,
  EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  freePort,
  transactionsIn,
} from '@holdfast-internal/embedded-postgres';
export { eventually, measured, PATIENCE_MS, PATIENTLY, pause, until } from './eventually.js';
export { ears, type Hear } from './hear.js';
export { embeddedServer, externalServer, servers, type TestServer } from './servers.js';
export {
  describeWithConfluent,
  describeWithKafka,
  describeWithOwnKafka,
  type KafkaArea,
  kafkaAreaAt,
  kafkaDriver,
  openKafka,
} from './kafka.js';
export { EmbeddedKafka } from '@holdfast-internal/embedded-kafka';
export {
  describeWithOwnRocketmq,
  describeWithRocketmq,
  EmbeddedRocketmq,
  openRocketmq,
  type RocketmqArea,
  type RocketmqPlace,
  rocketmqAreaAt,
} from './rocketmq.js';
export { type Admin, describeWithOwnRabbit, describeWithRabbit, EmbeddedRabbitmq, openRabbit, type RabbitArea } from './rabbit.js';
export { readsOf } from './reads.js';
export { borrowTestDatabase, createStoreDatabase, createTestDatabase, type TestDatabase } from './test-database.js';
export { KafkaProxy, type Loss } from './kafka-proxy.js';
export { gate } from './gate.js';
