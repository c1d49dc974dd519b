import { type Duration, hfError, isHoldfastError, printable, toMs } from '@holdfast/core';

const DEFAULT_CONFIRM: Duration = '30s';
const DEFAULT_REQUEST: Duration = '10s';
const DEFAULT_START: Duration = '30s';
const DEFAULT_INVISIBLE: Duration = '15s';
const DEFAULT_AWAIT: Duration = '5s';
const DEFAULT_QUEUES = 8;
const NAME_SERVER_PORT = 9876;
/** Name of the transport, for events and the start-up line. */
export const TRANSPORT = 'rocketmq';

const TOPOLOGIES = ['assert', 'check', 'none'] as const;
/** Far above what helps. */
const MOST_QUEUES = 1024;
/** Leaves room for types, services and subscriptions in the name of a topic, of which RocketMQ takes 127 characters. */
const PREFIX_LENGTH = 32;
/** Shorter ones are refused by the client. */
const SHORTEST_REQUEST_MS = 1000;
/** The proxy takes no more. */
const LONGEST_INVISIBLE_MS = 12 * 3_600_000;
/** What a proxy allows by itself; below it, what a broker notes of a message that its proxy takes back for a dead client may hide what it noted before. */
export const SAFE_INVISIBLE_MS = 10_000;
const TOPIC_NAME = /^[%|\w-]{1,127}$/;
const ADDRESS = /^(?:[^\s:/;,]+|\[[\da-f:]+\]):\d+$/i;

/** Options of `rocketmq`. */
export interface RocketmqOptions {
  /** Where the proxy (RocketMQ 5, gRPC) is, as `host:port`; several with `;` between them. */
  endpoint: string;
  /**
   * Where the name server is, as `host:port`, several with `;` between them; default: port 9876 of the endpoint's host. Topics, groups and where a group
   * begins cannot be settled through a proxy, so they are settled with the brokers that the name server knows. Not asked with topology 'none'.
   */
  nameServer?: string;
  /** How this service proves who it is, with `secretKey`; default: it does not. */
  accessKey?: string;
  /** The secret of `accessKey`. */
  secretKey?: string;
  /** Begin of all names at the broker, as RocketMQ's clients put it there (`namespace%name`); default: none. */
  namespace?: string;
  /** Speak TLS with the proxy; default false. Certificates are trusted as gRPC does (`GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` names others). */
  ssl?: boolean;
  /** Begin of the names of all topics and groups; default 'holdfast_'. Services that speak to each other name the same one. */
  prefix?: string;
  /**
   * Topics by type of message, for types that do not go to a topic of their own. Types that share a topic keep their order within a key: `ordering: 'key'`
   * over several types needs that. The names are taken as they are. Services that speak to each other say the same.
   */
  topics?: Readonly<Record<string, string>>;
  /**
   * What happens with topics and groups at the start, and when a message of a new type is published; default 'assert'. `assert` makes what is missing,
   * `check` refuses to start when something is missing, `none` takes for granted that all is there: then a group that is new begins where the broker
   * lets it begin, whatever `from` says.
   */
  topology?: 'assert' | 'check' | 'none';
  /**
   * Queues of the topics that are made, on each broker, from 1; default 8. With `ordering: 'key'` as many keys at most are handled side by side. When it is
   * given, a topic that has another number is refused.
   */
  queues?: number;
  /** A publish that is not confirmed within this time is given up and repeated by the relay; default '30s'. */
  confirmTimeout?: Duration;
  /** Longest wait for each answer of the broker, at least a second; default '10s'. */
  requestTimeout?: Duration;
  /** How long a start tries to reach the broker before it is refused; default '30s'. */
  startTimeout?: Duration;
  /**
   * What a process has received and not settled is given to another one after this time; default '15s', at least what the proxy allows (ten seconds unless
   * it is told otherwise). It is extended while a handler runs. Code that blocks the event loop for longer loses what it has in hand. Below ten seconds, which
   * a warning tells, a broker with its proxy in one process may lose a message that came for a process that had just died (ADR 29).
   */
  invisibleDuration?: Duration;
  /**
   * How long the broker waits for a message before it answers that there is none; default '5s'. A stop may take as long. The proxy waits for at least five
   * seconds unless it is told otherwise.
   */
  awaitDuration?: Duration;
}

/** Options with their defaults, checked. */
export interface Settings {
  readonly endpoint: string;
  readonly nameServers: readonly string[];
  readonly credentials: { readonly accessKey: string; readonly accessSecret: string } | undefined;
  readonly ssl: boolean;
  /** Of every name, the namespace within it. */
  readonly prefix: string;
  readonly topics: Readonly<Record<string, string>>;
  readonly topology: (typeof TOPOLOGIES)[number];
  readonly queues: number;
  /** False: any number will do. */
  readonly areQueuesGiven: boolean;
  readonly confirmTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly invisibleMs: number;
  readonly awaitMs: number;
}

/** Checks the options. @throws HF_CONFIG_INVALID naming everything that is wrong */
export function settingsFrom(options: RocketmqOptions): Settings {
  const {
    endpoint,
    accessKey,
    secretKey,
    namespace,
    ssl = false,
    prefix = 'holdfast_',
    topics = {},
    topology = 'assert',
    queues,
  } = options;
  const problems = [...addressProblems('endpoint', endpoint, 'localhost:8081'), ...nameProblems({ prefix, namespace, topics })];
  const nameServer = options.nameServer ?? besides(endpoint);
  if (problems.length === 0) problems.push(...addressProblems('nameServer', nameServer, 'localhost:9876'));
  // What is given is not shown: it may be the secret in the wrong place.
  if ([accessKey, secretKey].some((key) => key !== undefined && (typeof key !== 'string' || key === '')) || !accessKey !== !secretKey)
    problems.push('rocketmq({ accessKey, secretKey }) are not two texts; give both or none');
  // What is given is not shown here either.
  if (typeof ssl !== 'boolean')
    problems.push(
      'rocketmq({ ssl }) is neither true nor false; the client takes no certificates, whom it trusts is in the file that GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names',
    );
  if (!TOPOLOGIES.includes(topology)) problems.push(`rocketmq({ topology }) is ${printable(topology)}; use 'assert', 'check' or 'none'`);
  if (queues !== undefined && !(Number.isInteger(queues) && queues >= 1 && queues <= MOST_QUEUES))
    problems.push(`rocketmq({ queues }) is ${printable(queues)}; use a whole number from 1 to ${MOST_QUEUES}`);
  const times = timesFrom(options, problems);
  if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
  const begin = namespace === undefined ? '' : `${namespace}%`;
  return {
    endpoint,
    nameServers: nameServer.split(';'),
    credentials: accessKey === undefined || secretKey === undefined ? undefined : { accessKey, accessSecret: secretKey },
    ssl,
    prefix: `${begin}${prefix}`,
    topics: Object.fromEntries(Object.entries(topics).map(([type, topic]) => [type, `${begin}${topic}`])),
    topology,
    queues: queues ?? DEFAULT_QUEUES,
    areQueuesGiven: queues !== undefined,
    ...times,
  };
}

/** Whether RocketMQ takes it as the name of a topic. */
export function isTopicName(name: unknown): name is string {
  return typeof name === 'string' && TOPIC_NAME.test(name);
}

function timesFrom(options: RocketmqOptions, problems: string[]) {
  const ms = (name: 'confirmTimeout' | 'requestTimeout' | 'startTimeout' | 'invisibleDuration' | 'awaitDuration', byDefault: Duration) => {
    try {
      const value = toMs(options[name] ?? byDefault, `rocketmq({ ${name} })`);
      if (value === 0) problems.push(`rocketmq({ ${name} }) is 0; give it some time`);
      return value;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      problems.push(error.message);
      return 1;
    }
  };
  const times = {
    confirmTimeoutMs: ms('confirmTimeout', DEFAULT_CONFIRM),
    requestTimeoutMs: ms('requestTimeout', DEFAULT_REQUEST),
    startTimeoutMs: ms('startTimeout', DEFAULT_START),
    invisibleMs: ms('invisibleDuration', DEFAULT_INVISIBLE),
    awaitMs: ms('awaitDuration', DEFAULT_AWAIT),
  };
  if (times.requestTimeoutMs > 1 && times.requestTimeoutMs < SHORTEST_REQUEST_MS)
    problems.push(`rocketmq({ requestTimeout }) is ${printable(options.requestTimeout)}; the client needs at least a second`);
  if (times.invisibleMs > 1 && times.invisibleMs <= times.awaitMs)
    problems.push(
      `rocketmq({ invisibleDuration }) is not above awaitDuration: what comes at the end of a wait would not be ours any more; raise it`,
    );
  if (times.invisibleMs > LONGEST_INVISIBLE_MS)
    problems.push(`rocketmq({ invisibleDuration }) is ${printable(options.invisibleDuration)}; RocketMQ takes at most 12 hours`);
  return times;
}

/** The name server where everything is on one host. */
function besides(endpoint: unknown): string {
  const [first = ''] = String(endpoint).split(';');
  return `${first.slice(0, first.lastIndexOf(':'))}:${NAME_SERVER_PORT}`;
}

function addressProblems(option: 'endpoint' | 'nameServer', value: unknown, example: string): string[] {
  const isGood = typeof value === 'string' && value.split(';').every((address) => ADDRESS.test(address));
  return isGood
    ? []
    : [`rocketmq({ ${option} }) is ${printable(value)}; give an address such as '${example}', or several with ; between them`];
}

function nameProblems({ prefix, namespace, topics }: Pick<RocketmqOptions, 'prefix' | 'namespace' | 'topics'>): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries({ prefix, namespace }))
    if (value !== undefined && (typeof value !== 'string' || !/^[\w-]*$/.test(value) || value.length > PREFIX_LENGTH))
      problems.push(`rocketmq({ ${name} }) is ${printable(value)}; use up to ${PREFIX_LENGTH} letters, digits and _ -`);
  for (const [type, topic] of Object.entries(topics ?? {}))
    if (!isTopicName(topic))
      problems.push(
        `rocketmq({ topics }) has ${printable(topic)} for ${printable(type)}; use the name of a topic: up to 127 letters, digits and _ -`,
      );
  return problems;
}
