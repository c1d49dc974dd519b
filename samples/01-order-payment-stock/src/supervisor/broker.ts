import { KafkaBroker } from './kafka-broker.js';
import { RabbitmqBroker } from './rabbitmq-broker.js';
import { RocketmqBroker } from './rocketmq-broker.js';

/** What carries the messages of a run, if not the database. */
export interface Broker {
  /** What the services are given, by which they know it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Removes what the run has made there. */
  remove(): Promise<void>;
}

/** @throws an Error that says what to do when there is none */
export async function openBroker(transport: 'database' | 'rabbitmq' | 'kafka' | 'rocketmq'): Promise<Broker | undefined> {
  if (transport === 'rabbitmq') return RabbitmqBroker.open();
  if (transport === 'rocketmq') return RocketmqBroker.open();
  return transport === 'kafka' ? KafkaBroker.open() : undefined;
}

/** What is set for another run, or another program, must not choose the transport. */
export function withoutBroker(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ours = [
    'RABBITMQ_URL',
    'RABBITMQ_EXCHANGE',
    'KAFKA_BROKERS',
    'KAFKA_PREFIX',
    'ROCKETMQ_ENDPOINT',
    'ROCKETMQ_NAME_SERVER',
    'ROCKETMQ_PREFIX',
  ];
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !ours.includes(name)));
}
