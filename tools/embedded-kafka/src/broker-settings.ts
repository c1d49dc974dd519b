import type { KafkaConfig } from 'kafkajs';

/** Who is let in, with SASL's mechanism `plain`. */
export interface KafkaUser {
  readonly username: string;
  readonly password: string;
}

/** What a broker over TLS shows, and by whom the certificates of its clients have to be signed; PEM. It is then called `localhost`. */
export interface KafkaCertificates {
  readonly ca: string;
  readonly cert: string;
  /** PKCS #8, not encrypted. */
  readonly key: string;
}

/** How a broker is set up. */
export interface EmbeddedKafkaOptions {
  /** Only this one is let in; default: everybody is. */
  readonly user?: KafkaUser;
  /** Speaks TLS only, with clients that have a certificate; default: it does not. */
  readonly tls?: KafkaCertificates;
}

/** Where a node of a cluster is found. */
export interface NodePorts {
  readonly clients: number;
  readonly controller: number;
}

/** A node, and all of its cluster. */
export interface Place {
  /** Which of them it is. */
  readonly node: number;
  readonly nodes: readonly NodePorts[];
}

/** Nobody waits for members or brokers that might still come. */
const SETTINGS = {
  'process.roles': 'broker,controller',
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'CLIENTS',
  'offsets.topic.num.partitions': 1,
  'transaction.state.log.num.partitions': 1,
  'share.coordinator.state.topic.num.partitions': 1,
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500,
  'group.initial.rebalance.delay.ms': 0,
  'group.min.session.timeout.ms': 500,
  'broker.session.timeout.ms': 1500,
  'broker.heartbeat.interval.ms': 300,
  // Twice a second it would write that there is nothing to write.
  'metadata.max.idle.interval.ms': 0,
  'log.segment.bytes': 16_777_216,
  'log.cleaner.enable': false,
  'num.network.threads': 2,
  'num.io.threads': 2,
  'background.threads': 1,
  'auto.create.topics.enable': false,
  'controlled.shutdown.enable': false,
};

/** The lines of a node's `server.properties`. */
export function propertiesOf({ node, nodes }: Place, folder: string, options: EmbeddedKafkaOptions): string {
  const { clients, controller } = nodes[node] as NodePorts;
  const host = hostOf(options);
  const places = {
    'node.id': node + 1,
    listeners: `CLIENTS://127.0.0.1:${clients},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENTS://${host}:${clients}`,
    'controller.quorum.voters': nodes.map((each, n) => `${n + 1}@127.0.0.1:${each.controller}`).join(','),
    'log.dirs': `${folder}/data`,
  };
  const all = { ...SETTINGS, ...copiesOf(nodes.length), ...places, ...doorOf(options) };
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** What clients call a broker, as its certificate does. */
export function hostOf({ tls }: EmbeddedKafkaOptions): string {
  return tls === undefined ? '127.0.0.1' : 'localhost';
}

/** What gets a client in. */
export function accessOf({ user, tls }: EmbeddedKafkaOptions): Pick<KafkaConfig, 'sasl' | 'ssl'> {
  return { sasl: user && { mechanism: 'plain', ...user }, ...(tls ? { ssl: { ...tls } } : {}) };
}

/** As many copies as brokers, and one of them may be missing. */
function copiesOf(brokers: number): Readonly<Record<string, number>> {
  const inSync = Math.max(1, brokers - 1);
  return {
    'default.replication.factor': brokers,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': brokers,
    'transaction.state.log.replication.factor': brokers,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': brokers,
    'share.coordinator.state.topic.min.isr': inSync,
  };
}

/** How clients are let in, of whom the broker is one itself. */
function doorOf({ user, tls }: EmbeddedKafkaOptions): Readonly<Record<string, string>> {
  const protocol = `${user === undefined ? '' : 'SASL_'}${tls === undefined ? 'PLAINTEXT' : 'SSL'}`;
  return { 'listener.security.protocol.map': `CONTROLLER:PLAINTEXT,CLIENTS:${protocol}`, ...knownOf(user), ...proofOf(tls) };
}

function knownOf(user: KafkaUser | undefined): Readonly<Record<string, string>> {
  if (user === undefined) return {};
  const { username, password } = user;
  const known = `username="${username}" password="${password}" user_${username}="${password}"`;
  return {
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.clients.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${known};`,
  };
}

function proofOf(tls: KafkaCertificates | undefined): Readonly<Record<string, string>> {
  if (tls === undefined) return {};
  // A value may go over several lines when each ends with a backslash.
  const value = (pem: string) => pem.trim().split('\n').join(' \\\n');
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.key': value(tls.key),
    'ssl.keystore.certificate.chain': value(tls.cert),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.certificates': value(tls.ca),
    'ssl.client.auth': 'required',
  };
}
