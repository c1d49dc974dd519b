import { execFileSync } from 'node:child_process';
import { type Channel, type ChannelModel, connect } from 'amqplib';

/** A case that this machine has not what it takes for. */
export class Skipped extends Error {}

/** Where a part of a run is on a RabbitMQ: an exchange that nobody else uses, whose name begins those of its queues. */
export interface RabbitPlace {
  readonly url: string;
  readonly exchange: string;
}

/** What a run has on a RabbitMQ. */
export interface RabbitArea {
  place(): RabbitPlace;
  /** Deletes it. */
  close(): Promise<void>;
}

/** Queues that the cases make in a place. */
export const queuesIn = ({ exchange }: RabbitPlace) =>
  ({
    payments: `${exchange}/shop/payment.pay`,
    read: `${exchange}/reader/reader.read`,
    hand: `${exchange}.hand`,
    sink: `${exchange}.sink`,
    requests: `${exchange}.requests`,
    replies: `${exchange}.replies`,
  }) as const;

/** Queues of the services on Holdfast in a place, by the names of their subscriptions. */
export const subscriptionsIn = ({ exchange }: RabbitPlace) =>
  ['shop/payment.pay', 'reader/reader.read', 'shop/holdfast.saga-replies', 'partner/reserve', 'partner/charge', 'partner/ship'].map(
    (subscription) => `${exchange}/${subscription}`,
  );

/** The RabbitMQ of this machine: HOLDFAST_TEST_RABBITMQ, or the one on the default port. @throws Skipped when there is none */
export async function openRabbit(): Promise<RabbitArea> {
  const url = new URL(process.env.HOLDFAST_TEST_RABBITMQ ?? 'amqp://guest:guest@127.0.0.1:5672');
  await connect(url.href, { timeout: 5000 }).then(
    (connection) => connection.close(),
    (error: Error & { code?: string }) => {
      throw new Skipped(`there is no RabbitMQ (${error.message || error.code}); name one with HOLDFAST_TEST_RABBITMQ`);
    },
  );
  const name = `holdfast_bench_${process.pid}`;
  const isOurs = makeVhost(name, decodeURIComponent(url.username || 'guest'));
  if (isOurs) url.pathname = `/${name}`;
  const places: RabbitPlace[] = [];
  return {
    place: () => {
      const place = { url: url.href, exchange: `${name}_${places.length}` };
      places.push(place);
      return place;
    },
    close: async () => {
      if (isOurs) ctl('delete_vhost', name);
      else await deleteAll(url.href, places);
    },
  };
}

/** A connection to a place, by hand. */
export async function byHand({ url }: RabbitPlace): Promise<ChannelModel> {
  return connect(url, { noDelay: true });
}

/** Makes an exchange and a queue as the transport's are: durable, and a quorum queue, bound to all there is. */
export async function makeQueue(channel: Channel, place: RabbitPlace, queue: string): Promise<void> {
  await makeQueueOf(channel, place, { queue, takes: '#' });
}

/** The same, bound to one routing key. */
export async function makeQueueOf(
  channel: Channel,
  { exchange }: RabbitPlace,
  { queue, takes }: { readonly queue: string; readonly takes: string },
): Promise<void> {
  await channel.assertExchange(exchange, 'topic', { durable: true });
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await channel.bindQueue(queue, exchange, takes);
}

async function deleteAll(url: string, places: readonly RabbitPlace[]): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  for (const place of places) {
    const ours = subscriptionsIn(place);
    const dead = ours.map((queue) => queue.replace(/(?=\/[^/]*$)/, ':dead'));
    for (const queue of [...ours, ...dead, ...Object.values(queuesIn(place))]) await channel.deleteQueue(queue);
    await channel.deleteExchange(place.exchange);
  }
  await connection.close();
}

function makeVhost(vhost: string, user: string): boolean {
  try {
    ctl('add_vhost', vhost);
    ctl('set_permissions', '-p', vhost, user, '.*', '.*', '.*');
    return true;
  } catch {
    return false;
  }
}

function ctl(...args: readonly string[]): void {
  execFileSync('rabbitmqctl', ['-q', ...args], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
}
