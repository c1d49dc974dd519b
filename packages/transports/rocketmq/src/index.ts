export { ROCKETMQ_CAPABILITIES, rocketmq } from './rocketmq-transport.js';
export type { RocketmqOptions } from './settings.js';
