import type { TransportFactory } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { rocketmq } from '@holdfast/transport-rocketmq';

/** What `npm start -- --transport` chose. In a service of yours this is one line of its module. */
export function transport(): TransportFactory {
  const {
    RABBITMQ_URL: url,
    RABBITMQ_EXCHANGE: exchange,
    KAFKA_BROKERS: brokers,
    KAFKA_PREFIX: prefix,
    ROCKETMQ_ENDPOINT: endpoint,
  } = process.env;
  if (brokers !== undefined) return kafka({ brokers: brokers.split(','), prefix });
  if (endpoint !== undefined)
    return rocketmq({ endpoint, nameServer: process.env.ROCKETMQ_NAME_SERVER, prefix: process.env.ROCKETMQ_PREFIX });
  return url === undefined ? database() : rabbitmq({ url, exchange });
}
