import type { Kafka } from 'kafkajs';
import { type Broker, eachBroker } from './kafkajs-inside.js';

/**
 * Lets consumers of this client go on when the leader of a partition hangs. kafkajs asks it again and again then, and looks nowhere who is the leader by now; of a
 * connection that was closed it knows that it has to. So one that did not answer a fetch is closed, and is said to be.
 */
export function leavingHungLeaders(kafka: Kafka): Kafka {
  const known = new WeakSet<Broker>();
  eachBroker(kafka, (broker) => {
    if (!known.has(broker)) leavingWhenHung(broker);
    known.add(broker);
  });
  return kafka;
}

function leavingWhenHung(broker: Broker): void {
  const fetch = broker.fetch.bind(broker);
  broker.fetch = async (...args) => {
    try {
      return await fetch(...args);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'KafkaJSRequestTimeoutError') throw error;
      void letGoOf(broker);
      const { host, port } = broker.connectionPool;
      throw Object.assign(new Error(error.message, { cause: error }), { name: 'KafkaJSConnectionClosedError', host, port });
    }
  };
}

/** Waits for what else was asked of that broker, which may hang with it. kafkajs only ends its sockets, and one that hangs would keep them. */
async function letGoOf(broker: Broker): Promise<void> {
  const before = socketsOf(broker);
  await broker.disconnect().catch(() => undefined);
  // Meanwhile it may have been connected anew.
  const ended = socketsOf(broker).filter(({ writableEnded }) => writableEnded);
  for (const socket of new Set([...before, ...ended])) socket.destroy();
}

function socketsOf({ connectionPool }: Broker) {
  return connectionPool.pool.flatMap(({ socket }) => socket ?? []);
}
