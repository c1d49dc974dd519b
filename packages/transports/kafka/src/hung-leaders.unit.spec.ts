import { createRequire } from 'node:module';
import type { Kafka } from 'kafkajs';
import { leavingHungLeaders } from './hung-leaders.js';
import type { Broker, Cluster } from './kafkajs-inside.js';

type ErrorOfKafkajs = new (message: string, facts: object) => Error;
const { KafkaJSRequestTimeoutError, KafkaJSConnectionError } = createRequire(__filename)('kafkajs/src/errors') as {
  readonly KafkaJSRequestTimeoutError: ErrorOfKafkajs;
  readonly KafkaJSConnectionError: ErrorOfKafkajs;
};

/** A broker that answers a fetch like this, as a consumer of kafkajs has it. */
async function brokerWith(fetch: Broker['fetch']) {
  let isClosed = false;
  const destroyed: string[] = [];
  const socketOf = (name: string, writableEnded = false) => ({ writableEnded, destroy: () => void destroyed.push(name) });
  const pool: { socket?: ReturnType<typeof socketOf> }[] = [{ socket: socketOf('hung') }, { socket: socketOf('other') }, {}];
  const disconnect = () => {
    isClosed = true;
    pool[0] = { socket: socketOf('new') };
    pool[1] = { socket: socketOf('new, and ended', true) };
    return Promise.reject(new Error('what else was asked of it hangs too'));
  };
  const broker = { fetch, disconnect, connectionPool: { host: 'a', port: 9, pool } } as unknown as Broker;
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => ({ findBroker: async () => broker }) as unknown as Cluster };
  leavingHungLeaders(kafka as unknown as Kafka);
  const [name] = Object.getOwnPropertySymbols(kafka);
  const cluster = (kafka as Record<symbol, () => Cluster>)[name as symbol]?.();
  for (let n = 0; n < 2; n += 1) await cluster?.findBroker({});
  return { broker, isClosed: () => isClosed, destroyed };
}

describe('the leader of a partition', () => {
  it('that does not answer a fetch is closed and said to be, so that kafkajs looks who is the leader now', async () => {
    const timedOut = new KafkaJSRequestTimeoutError('Request Fetch timed out', {});
    const { broker, isClosed } = await brokerWith(() => Promise.reject(timedOut));
    await expect(broker.fetch()).rejects.toMatchObject({ name: 'KafkaJSConnectionClosedError', host: 'a', port: 9, cause: timedOut });
    expect(isClosed()).toBe(true);
  });

  it('that does not answer a fetch keeps no socket, and what was connected anew meanwhile stays', async () => {
    const { broker, destroyed } = await brokerWith(() => Promise.reject(new KafkaJSRequestTimeoutError('Request Fetch timed out', {})));
    await expect(broker.fetch()).rejects.toThrow('timed out');
    await new Promise(setImmediate);
    expect(destroyed).toEqual(['hung', 'other', 'new, and ended']);
  });

  it('that answers, or fails otherwise, is left as it is', async () => {
    const answer = { responses: [] };
    const answering = await brokerWith(async () => answer);
    expect(await answering.broker.fetch()).toBe(answer);
    const error = new KafkaJSConnectionError('refused', {});
    const failing = await brokerWith(() => Promise.reject(error));
    await expect(failing.broker.fetch()).rejects.toBe(error);
    expect([answering.isClosed(), failing.isClosed()]).toEqual([false, false]);
  });
});
