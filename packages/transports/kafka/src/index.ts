export type { BrokerTlsOptions } from '@holdfast/core';
export { KAFKA_CAPABILITIES, kafka } from './kafka-transport.js';
export type { KafkaOptions } from './settings.js';
