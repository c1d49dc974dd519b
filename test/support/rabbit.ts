import { execFileSync } from 'node:child_process';
import { EmbeddedRabbitmq, missingTools, type RabbitmqPlace } from '@holdfast-internal/embedded-rabbitmq';
import { type Channel, connect } from 'amqplib';
import { describeUnless, describeUnlessMissing, type FoundBroker, foundBroker, startedBroker } from './started-broker.js';

/** Where one is. One that this run did not start is asked with the machine's own `rabbitmqctl`. */
type Place = Pick<RabbitmqPlace, 'url' | 'version'> & Partial<Pick<RabbitmqPlace, 'ctl'>>;
/** Tells the broker something with `rabbitmqctl`. */
type Ctl = (...args: readonly string[]) => void;

/** A part of a RabbitMQ that belongs to one file of tests. */
export interface RabbitArea {
  /** Of a virtual host of its own, or of the one there is when this machine cannot make one. */
  readonly url: string;
  /** Of the server, such as `3.10.8`. */
  readonly version: string;
  /** A name for an exchange, which is also the first part of the names of queues. */
  name(): string;
  /** Something done with a connection of its own. */
  as<T>(work: (admin: Admin) => Promise<T>): Promise<T>;
  /**
   * Deletes these queues, and forgets them: a server takes some two hundred quorum queues at a time, with which all its file handles are reserved, and
   * then it answers nobody any more.
   */
  clear(queues: string[]): Promise<void>;
  /** Ends all connections in the server's name; undefined when this machine cannot. */
  readonly closeConnections: (() => void) | undefined;
  /** Its address for a user who may write only to what this expression says, and configure all, or what the second one says; undefined when this machine cannot make one. */
  readonly writingTo: ((expression: string, configure?: string) => string) | undefined;
  /** Deletes it with all that is in it. `queues`: what was made, for a server whose virtual host is not ours. */
  drop(queues?: readonly string[]): Promise<void>;
}

/** What a test does behind the transport's back. */
export type Admin = Channel;

let made = 0;

/** A suite that needs a RabbitMQ. Where there is none it is skipped with the reason, and with `CI=true` it fails with it. */
export function describeWithRabbit(title: string, suite: () => void): void {
  describeUnless(foundRabbit().reason, { broker: 'RabbitMQ', title, suite });
}

/** A suite that breaks a RabbitMQ of its own (`EmbeddedRabbitmq`). Where the environment names one, which nobody may break, it may also be missing with `CI=true`. */
export function describeWithOwnRabbit(title: string, suite: () => void): void {
  describeUnlessMissing(missingTools(), { broker: 'RabbitMQ', title, suite, others: foundRabbit() });
}

/** Makes an area of the RabbitMQ of this machine, or of this run, which the first one starts. */
export async function openRabbit(): Promise<RabbitArea> {
  const found = await startedBroker(foundRabbit());
  const ctl = ctlOf(found.ctl);
  made += 1;
  const vhost = `holdfast_test_${Date.now().toString(36)}_${process.pid}_${made}`;
  const url = new URL(found.url);
  if (url.port === '') url.port = '5672';
  const isOurs = await makeVhost(ctl, vhost, url);
  if (isOurs) url.pathname = `/${vhost}`;
  const exchanges: string[] = [];
  const users: string[] = [];
  const as = <T>(work: (admin: Admin) => Promise<T>) => asAdmin(url.href, work);
  return {
    url: url.href,
    version: found.version,
    name: () => {
      exchanges.push(`${vhost}-${exchanges.length}`);
      return exchanges.at(-1) as string;
    },
    as,
    clear: (queues) =>
      as(async (admin) => {
        for (const queue of new Set(queues.splice(0))) await admin.deleteQueue(queue);
      }),
    closeConnections: isOurs ? () => void ctl('close_all_connections', '--vhost', vhost, 'a test') : undefined,
    writingTo: isOurs
      ? (expression, configure = '.*') => {
          const user = `${vhost}_${users.length}`;
          ctl('add_user', user, user);
          users.push(user);
          ctl('set_permissions', '-p', vhost, user, configure, expression, '.*');
          const theirs = new URL(url);
          theirs.username = theirs.password = user;
          return theirs.href;
        }
      : undefined,
    drop: async (queues = []) => {
      for (const user of users) ctl('delete_user', user);
      if (isOurs) {
        ctl('delete_vhost', vhost);
        return;
      }
      await as(async (admin) => {
        for (const queue of queues) await admin.deleteQueue(queue);
        for (const exchange of exchanges) await admin.deleteExchange(exchange);
      });
    },
  };
}

function foundRabbit(): FoundBroker<Place> {
  return foundBroker<Place>('rabbit');
}

async function asAdmin<T>(url: string, work: (admin: Admin) => Promise<T>): Promise<T> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  try {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    return await work(channel);
  } finally {
    await connection.close().catch(() => undefined);
  }
}

/** False where it cannot be made: without the right to, or because this machine's `rabbitmqctl` is that of another server. */
async function makeVhost(ctl: Ctl, vhost: string, server: URL): Promise<boolean> {
  try {
    ctl('add_vhost', vhost);
  } catch {
    return false;
  }
  try {
    ctl('set_permissions', '-p', vhost, decodeURIComponent(server.username || 'guest'), '.*', '.*', '.*');
    const url = new URL(server);
    url.pathname = `/${vhost}`;
    await asAdmin(url.href, async () => undefined);
    return true;
  } catch {
    ctl('delete_vhost', vhost);
    return false;
  }
}

function ctlOf({ program, environment }: RabbitmqPlace['ctl'] = { program: 'rabbitmqctl', environment: {} }): Ctl {
  const env = { ...process.env, ...environment };
  return (...args) => void execFileSync(program, ['-q', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000 });
}

export { EmbeddedRabbitmq };
