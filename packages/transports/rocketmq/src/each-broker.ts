import type { RocketmqConsumer } from './client.port.js';

/**
 * Receives from each broker by itself, and from those that come to have the topic too: one that has nothing, or hangs, keeps nobody from what the others have. Resolves
 * when it is over and nothing is on its way any more.
 *
 * @param receive once; must not reject
 */
export async function fromEachBroker(
  consumer: RocketmqConsumer,
  isOver: () => boolean,
  receive: (broker: string) => Promise<void>,
): Promise<void> {
  const loops = new Map<string, Promise<void>>();
  const look = () => {
    for (const broker of consumer.brokers) if (!loops.has(broker)) loops.set(broker, run(broker));
  };
  const run = async (broker: string) => {
    while (!isOver() && consumer.brokers.includes(broker)) {
      await receive(broker);
      if (!isOver()) look();
    }
    loops.delete(broker);
  };
  if (!isOver()) look();
  while (loops.size > 0) await Promise.all(loops.values());
}
