import { type BrokerTlsOptions, type Duration, hfError, isHoldfastError, printable, tlsProblems, toMs } from '@holdfast/core';

const DEFAULT_CONFIRM: Duration = '30s';
const DEFAULT_REQUEST: Duration = '10s';
const DEFAULT_START: Duration = '30s';
const DEFAULT_SESSION: Duration = '10s';
const DEFAULT_LAG: Duration = '30s';
const DEFAULT_PARTITIONS = 8;
const DEFAULT_TRANSACTIONAL_PRODUCERS = 64;
/** Name of the transport, for events and the start-up line. */
export const TRANSPORT = 'kafka';

const TOPOLOGIES = ['assert', 'check', 'none'] as const;
const DRIVERS = ['kafkajs', 'confluent'] as const;
const GROUP_PROTOCOLS = ['classic', 'consumer'] as const;
const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
/** Far above what helps. */
const MOST_PARTITIONS = 10_000;
/** Leaves room for types, services and subscriptions in the name of a topic, of which Kafka takes 249 characters. */
const PREFIX_LENGTH = 100;
const TOPIC_NAME = /^(?!\.{1,2}$)[\w.-]{1,249}$/;

/** Options of `kafka`. */
export interface KafkaOptions {
  /** Where brokers of the cluster are, as `host:port`; the others are found through them. */
  brokers: readonly string[];
  /** Speak TLS; default false. `true` trusts whom Node trusts (`NODE_EXTRA_CA_CERTS` names more); an object says who is trusted, and proves who this service is. */
  ssl?: boolean | BrokerTlsOptions;
  /** How this service proves who it is; default: it does not. */
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
  /**
   * The client underneath; default 'kafkajs'. 'confluent' is librdkafka by way of `@confluentinc/kafka-javascript` 1.10.1 or later, which you install yourself: it is built for
   * the machine. All processes of a service use the same one: their groups do not mix.
   */
  driver?: 'kafkajs' | 'confluent';
  /**
   * How the members of a group share its partitions; default 'classic'. 'consumer' is that of Kafka 4 (KIP-848): the broker decides, moves partitions one by one, and says
   * how long a session is. It needs `driver: 'confluent'`.
   */
  groupProtocol?: 'classic' | 'consumer';
  /** Begin of the names of all topics and groups; default 'holdfast.'. Services that speak to each other name the same one. */
  prefix?: string;
  /**
   * Topics by type of message, for types that do not go to a topic of their own (`<prefix><type>`). Types that share a topic keep their order within a key:
   * `ordering: 'key'` over several types needs that. The names are taken as they are. Services that speak to each other say the same.
   */
  topics?: Readonly<Record<string, string>>;
  /**
   * What happens with topics at the start, and when a message of a new type is published; default 'assert'. `assert` makes what is missing, `check` refuses
   * to start when something is missing, `none` takes for granted that all is there.
   */
  topology?: 'assert' | 'check' | 'none';
  /**
   * Partitions of the topics that are made, from 1; default 8. More let more processes share a subscription, and with `ordering: 'key'` more keys be handled
   * side by side. When it is given, a topic that has another number is refused.
   */
  partitions?: number;
  /** Copies of each record, on as many brokers; default: as the broker makes them by itself. */
  replicationFactor?: number;
  /** A publish that is not confirmed within this time is given up and repeated by the relay; default '30s'. */
  confirmTimeout?: Duration;
  /** Longest wait for a connection to open, and for each answer of the broker; default '10s'. */
  requestTimeout?: Duration;
  /** How long a start tries to reach the broker before it is refused; default '30s'. */
  startTimeout?: Duration;
  /**
   * A process that was not heard of for so long loses its partitions to others; default '10s', at least what the broker allows (six seconds unless it is
   * told otherwise). Code that blocks the event loop for longer loses them too, and what it had in hand is handled again.
   */
  sessionTimeout?: Duration;
  /**
   * Between two counts of how far the subscriptions of a process are behind (`health()`, `subscription:lag`); default '30s'; with `driver: 'confluent'` it is false, which counts
   * nothing. Each asks the brokers for the ends of their topics and where their groups stand, for which librdkafka opens a client for each subscription, each time.
   */
  lagInterval?: false | Duration;
  /**
   * Begin of the ids of the producers of `protocol: 'kafka'`, of which each partition that is read has one: `<this>-<group>/<topic>/<partition>`; default: the name
   * of the service. All processes of a service say the same: by the id the broker knows whom to shut out.
   */
  transactionalId?: string;
  /**
   * Most producers of Kafka transactions that a process keeps open, from 1; default 64. Each has connections of its own. With more partitions in one process those
   * that were not used for longest are opened again when they are needed, which takes some milliseconds.
   */
  transactionalProducers?: number;
}

type TimeName = 'confirmTimeout' | 'requestTimeout' | 'startTimeout' | 'sessionTimeout' | 'lagInterval';

/** Options with their defaults, checked. */
export interface Settings {
  readonly brokers: readonly string[];
  /** The brokers, for people. */
  readonly address: string;
  readonly ssl: boolean | BrokerTlsOptions;
  readonly sasl: KafkaOptions['sasl'];
  readonly driver: (typeof DRIVERS)[number];
  readonly groupProtocol: (typeof GROUP_PROTOCOLS)[number];
  readonly prefix: string;
  readonly topics: Readonly<Record<string, string>>;
  readonly topology: (typeof TOPOLOGIES)[number];
  readonly partitions: number;
  /** False: any number will do. */
  readonly arePartitionsGiven: boolean;
  readonly replicationFactor: number;
  readonly confirmTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** Undefined: nothing is counted. */
  readonly lagIntervalMs: number | undefined;
  readonly transactionalId: string | undefined;
  readonly transactionalProducers: number;
}

/** Checks the options. @throws HF_CONFIG_INVALID naming everything that is wrong */
export function settingsFrom(options: KafkaOptions): Settings {
  const { brokers, ssl = false, sasl, prefix = 'holdfast.', topics = {}, topology = 'assert', partitions, replicationFactor } = options;
  const { transactionalId, transactionalProducers = DEFAULT_TRANSACTIONAL_PRODUCERS } = options;
  const { driver = 'kafkajs', groupProtocol = 'classic' } = options;
  const problems = [...brokerProblems(brokers), ...saslProblems(sasl), ...nameProblems(prefix, topics), ...driverProblems(options)];
  if (typeof ssl !== 'boolean') problems.push(...tlsProblems('kafka({ ssl })', ssl));
  if (!TOPOLOGIES.includes(topology)) problems.push(`kafka({ topology }) is ${printable(topology)}; use 'assert', 'check' or 'none'`);
  if (transactionalId !== undefined && !isTransactionalId(transactionalId))
    problems.push(
      `kafka({ transactionalId }) is ${printable(transactionalId)}; use up to ${PREFIX_LENGTH} printable characters without blanks`,
    );
  for (const [name, count] of Object.entries({ partitions, replicationFactor, transactionalProducers }))
    if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count <= MOST_PARTITIONS))
      problems.push(`kafka({ ${name} }) is ${printable(count)}; use a whole number from 1 to ${MOST_PARTITIONS}`);
  const ms = (name: TimeName, given: Duration): number => {
    try {
      const value = toMs(given, `kafka({ ${name} })`);
      if (value === 0) problems.push(`kafka({ ${name} }) is 0; give it some time`);
      return value;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      problems.push(error.message);
      return 0;
    }
  };
  const lagInterval = options.lagInterval ?? (driver === 'confluent' ? false : DEFAULT_LAG);
  const times = {
    confirmTimeoutMs: ms('confirmTimeout', options.confirmTimeout ?? DEFAULT_CONFIRM),
    requestTimeoutMs: ms('requestTimeout', options.requestTimeout ?? DEFAULT_REQUEST),
    startTimeoutMs: ms('startTimeout', options.startTimeout ?? DEFAULT_START),
    sessionTimeoutMs: ms('sessionTimeout', options.sessionTimeout ?? DEFAULT_SESSION),
    lagIntervalMs: lagInterval === false ? undefined : ms('lagInterval', lagInterval),
  };
  if (times.sessionTimeoutMs >= times.startTimeoutMs)
    problems.push(
      'kafka({ sessionTimeout }) is not below startTimeout: a start waits so long for a process that has died; raise startTimeout',
    );
  if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
  return {
    brokers,
    address: brokers.join(', '),
    ssl,
    sasl,
    driver,
    groupProtocol,
    prefix,
    topics,
    topology,
    partitions: partitions ?? DEFAULT_PARTITIONS,
    arePartitionsGiven: partitions !== undefined,
    replicationFactor: replicationFactor ?? -1,
    transactionalId,
    transactionalProducers,
    ...times,
  };
}

/** Whether Kafka takes it as the name of a topic. */
export function isTopicName(name: unknown): name is string {
  return typeof name === 'string' && TOPIC_NAME.test(name);
}

function isTransactionalId(id: unknown): boolean {
  return typeof id === 'string' && /^[\x21-\x7e]+$/.test(id) && id.length <= PREFIX_LENGTH;
}

function brokerProblems(brokers: unknown): string[] {
  const isList =
    Array.isArray(brokers) && brokers.length > 0 && brokers.every((broker) => /^(?:[^\s:/]+|\[[\da-f:]+\]):\d+$/i.test(broker));
  return isList ? [] : [`kafka({ brokers }) is ${printable(brokers)}; give a list of addresses such as 'localhost:9092'`];
}

/** What a driver cannot do is refused, and not left out. */
function driverProblems({ driver = 'kafkajs', groupProtocol = 'classic', ssl, sessionTimeout }: KafkaOptions): string[] {
  const problems: string[] = [];
  if (!DRIVERS.includes(driver)) problems.push(`kafka({ driver }) is ${printable(driver)}; use 'kafkajs' or 'confluent'`);
  if (!GROUP_PROTOCOLS.includes(groupProtocol))
    problems.push(`kafka({ groupProtocol }) is ${printable(groupProtocol)}; use 'classic' or 'consumer'`);
  if (groupProtocol === 'consumer' && driver === 'kafkajs')
    problems.push("kafka({ groupProtocol }) is 'consumer', which kafkajs does not speak; use driver: 'confluent', or 'classic'");
  if (groupProtocol === 'consumer' && sessionTimeout !== undefined)
    problems.push("kafka({ sessionTimeout }) is the broker's to say with groupProtocol: 'consumer'; leave it out, and set it at the group");
  if (driver === 'confluent' && typeof ssl === 'object' && ssl?.servername !== undefined)
    problems.push("kafka({ ssl }) has a servername, which driver: 'confluent' cannot check; leave it out, or use 'kafkajs'");
  return problems;
}

function saslProblems(sasl: KafkaOptions['sasl']): string[] {
  if (sasl === undefined) return [];
  const { mechanism, username, password } = (sasl ?? {}) as Partial<NonNullable<KafkaOptions['sasl']>>;
  const problems: string[] = [];
  // What is given is not shown: it may be a password in the wrong place.
  if (!MECHANISMS.includes(mechanism as never)) problems.push(`kafka({ sasl }) has no mechanism; use '${MECHANISMS.join("', '")}'`);
  if (typeof username !== 'string' || typeof password !== 'string') problems.push('kafka({ sasl }) has no username or no password');
  return problems;
}

function nameProblems(prefix: unknown, topics: unknown): string[] {
  const problems: string[] = [];
  if (typeof prefix !== 'string' || !/^[\w.-]*$/.test(prefix) || prefix.length > PREFIX_LENGTH)
    problems.push(`kafka({ prefix }) is ${printable(prefix)}; use up to ${PREFIX_LENGTH} letters, digits and . _ -`);
  for (const [type, topic] of Object.entries(topics ?? {}))
    if (!isTopicName(topic))
      problems.push(
        `kafka({ topics }) has ${printable(topic)} for ${printable(type)}; use the name of a topic: up to 249 letters, digits and . _ -`,
      );
  return problems;
}
