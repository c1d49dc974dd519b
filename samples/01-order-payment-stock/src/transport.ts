import type { TransportFactory } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';

/** What `npm start -- --transport` chose. In a service of yours this is one line of its module. */
export function transport(): TransportFactory {
  const { RABBITMQ_URL: url, RABBITMQ_EXCHANGE: exchange, KAFKA_BROKERS: brokers, KAFKA_PREFIX: prefix } = process.env;
  if (brokers !== undefined) return kafka({ brokers: brokers.split(','), prefix });
  return url === undefined ? database() : rabbitmq({ url, exchange });
}
