import { type BrokerTlsOptions, type Duration, hfError, isHoldfastError, printable, SLOTS, tlsProblems, toMs } from '@holdfast/core';
import { DEFAULT_PARTITIONS } from './partitions.js';
import { type ForeignSource, problemsOf } from './foreign-source.js';

const DEFAULT_CONFIRM: Duration = '30s';
const DEFAULT_REQUEST: Duration = '10s';
const DEFAULT_HEARTBEAT: Duration = '10s';
const DEFAULT_START: Duration = '30s';
const DEFAULT_CONSUMER: Duration = '30m';
const TOPOLOGIES = ['assert', 'check', 'none'] as const;
const MODES = ['confirm', 'tx'] as const;
/** With `tx` enough for one round of the relay. */
const WINDOWS = { confirm: 256, tx: 1000 } as const;
/** What AMQP's tune-ok can carry. */
const LONGEST_HEARTBEAT_S = 65_535;
/** Leaves room for service and subscription in the name of a queue, of which AMQP takes 255 bytes. */
const EXCHANGE_LENGTH = 100;
/** AMQP's largest prefetch; for a window, which is memory, far above what helps. */
const LARGEST_COUNT = 65_535;

/** Options of `rabbitmq`. */
export interface RabbitmqOptions {
  /**
   * Address of the broker: `amqp://user:password@host:5672/virtual-host`, or `amqps:` over TLS; a list of them for a cluster. A connection that is lost,
   * or cannot be opened, is tried at the next one.
   */
  url: string | readonly string[];
  /** For `amqps:`: which certificates to trust, and this service's own; default: what Node trusts, and none. */
  tls?: BrokerTlsOptions;
  /**
   * Durable topic exchange that carries the messages, and the first part of the names of the queues; default 'holdfast'. Services that speak to
   * each other name the same one.
   */
  exchange?: string;
  /**
   * What happens with exchange and queues at the start and after each reconnect; default 'assert'. `assert` makes what is missing, `check` refuses
   * when something is missing; both refuse what is there with other arguments (`check` at the start alone, and as far as the user may configure, else it warns; bindings cannot be
   * seen and are not checked). `none` takes for granted that all is there.
   */
  topology?: 'assert' | 'check' | 'none';
  /** Where messages of other producers come from: exchanges and queues that are not ours; default: none. What is no CloudEvents is read by `readForeign`. */
  foreign?: readonly ForeignSource[];
  /**
   * Messages of a subscription that are fetched and not yet settled, at most, in each process; default: twice what its `concurrency` and `batchSize` have
   * in work, and never more than that. A smaller one leaves more for other processes; below what is in work, less is in work.
   */
  prefetch?: number;
  /**
   * How a message is known to have arrived; default 'confirm'. `confirm` publishes with publisher confirms, many messages on their way at a time; `tx` puts
   * each batch into one AMQP transaction, and waits for its commit before the next. For a broker or a habit that wants transactions; nothing
   * is on its way while a commit is waited for. **Not promised with `tx`:** all or nothing over several queues; that a refusal of a quorum queue
   * (`x-overflow: reject-publish`, which only a policy sets) is heard of.
   */
  publishMode?: 'confirm' | 'tx';
  /**
   * Messages published and not yet confirmed, at most; default 256, with `publishMode: 'tx'` 1000: what batches that share a commit may have together. A
   * larger one helps over slow lines, and means more repeats after a lost connection.
   */
  window?: number;
  /** Queues of a subscription with `ordering: 'key'`, from 1 to 256; default 8. Each is handled by one process at a time, one key after the other. Its first start fixes it. */
  partitions?: number;
  /** A publish that is not confirmed within this time is given up and repeated by the relay; default '30s'. */
  confirmTimeout?: Duration;
  /** Longest wait for a connection to open, and for each answer of the broker but confirms; default '10s'. The connection is given up then. */
  requestTimeout?: Duration;
  /** How long a start tries to reach the broker, and then asks one that does not answer again, before it is refused; default '30s'. */
  startTimeout?: Duration;
  /**
   * A connection on which nothing came for about twice this time is given up; default '10s'. In whole seconds, at least '1s'. The broker does the
   * same: code that blocks the event loop for longer loses the connection.
   */
  heartbeat?: Duration;
  /**
   * What the broker's own `consumer_timeout` is: it takes a message back from whoever holds it for longer; default '30m', as RabbitMQ has it. Half of it
   * is what a handler, without a store with all its retries, may take; a subscription that may take longer is refused.
   */
  consumerTimeout?: Duration;
}

/** One node of a broker. */
export interface BrokerNode {
  readonly url: string;
  /** The address as it may be shown. */
  readonly address: string;
}

/** Options with their defaults, checked. */
export interface Settings {
  /** At least one. */
  readonly nodes: readonly BrokerNode[];
  readonly tls: BrokerTlsOptions | undefined;
  readonly exchange: string;
  readonly topology: (typeof TOPOLOGIES)[number];
  readonly foreign: readonly ForeignSource[];
  readonly prefetch: number | undefined;
  readonly publishMode: (typeof MODES)[number];
  readonly window: number;
  readonly partitions: number;
  readonly confirmTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly heartbeatS: number;
}

/** Checks the options. @throws HF_CONFIG_INVALID naming everything that is wrong */
export function settingsFrom(options: RabbitmqOptions): Settings {
  const {
    url,
    tls,
    exchange = 'holdfast',
    topology = 'assert',
    foreign = [],
    prefetch,
    publishMode = 'confirm',
    window = WINDOWS[publishMode] ?? WINDOWS.confirm,
    partitions = DEFAULT_PARTITIONS,
  } = options;
  const problems: string[] = [];
  const urls: readonly unknown[] = Array.isArray(url) ? url : [url];
  const nodes = urls.flatMap((each) => nodeOf(each) ?? []);
  if (nodes.length < urls.length || urls.length === 0)
    problems.push('rabbitmq({ url }) is no address such as amqp://user:password@host:5672/virtual-host, and no list of them');
  if (tls !== undefined) {
    problems.push(...tlsProblems('rabbitmq({ tls })', tls));
    if (nodes.some(({ address }) => address.startsWith('amqp:')))
      problems.push('rabbitmq({ tls }) is for addresses that begin with amqps:, and not all of url do');
  }
  if (typeof exchange !== 'string' || !/^[\w.:-]+$/.test(exchange) || exchange.length > EXCHANGE_LENGTH || exchange.startsWith('amq.'))
    problems.push(
      `rabbitmq({ exchange }) is ${printable(exchange)}; use up to ${EXCHANGE_LENGTH} letters, digits and . : _ -, not beginning with amq.`,
    );
  if (!TOPOLOGIES.includes(topology)) problems.push(`rabbitmq({ topology }) is ${printable(topology)}; use 'assert', 'check' or 'none'`);
  if (!MODES.includes(publishMode)) problems.push(`rabbitmq({ publishMode }) is ${printable(publishMode)}; use 'confirm' or 'tx'`);
  problems.push(...problemsOf(foreign));
  for (const [name, count] of Object.entries({ window, prefetch }))
    if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count <= LARGEST_COUNT))
      problems.push(`rabbitmq({ ${name} }) is ${printable(count)}; use a whole number from 1 to ${LARGEST_COUNT}`);
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > SLOTS)
    problems.push(`rabbitmq({ partitions }) is ${printable(partitions)}; use a whole number from 1 to ${SLOTS}`);
  const ms = (
    name: 'confirmTimeout' | 'requestTimeout' | 'startTimeout' | 'heartbeat' | 'consumerTimeout',
    byDefault: Duration,
  ): number => {
    try {
      const value = toMs(options[name] ?? byDefault, `rabbitmq({ ${name} })`);
      if (value === 0) problems.push(`rabbitmq({ ${name} }) is 0; give it some time`);
      return value;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      problems.push(error.message);
      return 0;
    }
  };
  const times = {
    confirmTimeoutMs: ms('confirmTimeout', DEFAULT_CONFIRM),
    requestTimeoutMs: ms('requestTimeout', DEFAULT_REQUEST),
    startTimeoutMs: ms('startTimeout', DEFAULT_START),
    heartbeatS: ms('heartbeat', DEFAULT_HEARTBEAT) / 1000,
  };
  ms('consumerTimeout', DEFAULT_CONSUMER);
  if (!Number.isInteger(times.heartbeatS) || times.heartbeatS > LONGEST_HEARTBEAT_S)
    problems.push(`rabbitmq({ heartbeat }) is ${printable(options.heartbeat)}; use whole seconds, at most ${LONGEST_HEARTBEAT_S}`);
  if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
  return { nodes, tls, exchange, topology, foreign, prefetch, publishMode, window, partitions, ...times };
}

/** What the broker lets a message be in hand. @throws HF_CONFIG_DURATION */
export function consumerTimeoutMs({ consumerTimeout = DEFAULT_CONSUMER }: RabbitmqOptions): number {
  return toMs(consumerTimeout, 'rabbitmq({ consumerTimeout })');
}

/** Host, port and virtual host may be shown; undefined when it is no address of a RabbitMQ. */
function nodeOf(url: unknown): BrokerNode | undefined {
  try {
    const { protocol, host, hostname, pathname } = new URL(String(url));
    return ['amqp:', 'amqps:'].includes(protocol) && hostname !== ''
      ? { url: String(url), address: `${protocol}//${host}${pathname}` }
      : undefined;
  } catch {
    return undefined;
  }
}
