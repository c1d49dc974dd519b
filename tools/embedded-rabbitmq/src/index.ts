export { EmbeddedRabbitmq, missingTools, type RabbitmqPlace } from './embedded-rabbitmq.js';
