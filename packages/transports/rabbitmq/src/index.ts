export type { ForeignExchange, ForeignQueue, ForeignSource } from './foreign-source.js';
export { RABBITMQ_CAPABILITIES, rabbitmq } from './rabbitmq-transport.js';
export type { RabbitmqOptions } from './settings.js';
export type { BrokerTlsOptions } from '@holdfast/core';
