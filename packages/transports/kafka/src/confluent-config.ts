import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import type { BrokerTlsOptions } from '@holdfast/core';
import type { Config } from './confluent-library.js';
import type { Settings } from './settings.js';

/** After a connection was lost, at first and at most: no later than the tries of whoever waits for it. */
const RECONNECT_MS = 50;
const LONGEST_RECONNECT_MS = 1000;
/** As a broker has it when nobody has told it otherwise; one that takes more says so itself. */
const MOST_MESSAGE_BYTES = 100_000_000;
/** Of one request. */
const BATCH_BYTES = 900_000;
const BATCH_RECORDS = 2000;
/** The shortest request that librdkafka takes. */
const SHORTEST_REQUEST_MS = 10;

/** Of its log: nowhere else does it say why a connection came to nothing, and that it reads on somewhere else. */
const WARNINGS = 4;

/** Settings of librdkafka that all clients have. */
export function clientConfig({ brokers, ssl, sasl, requestTimeoutMs }: Settings, clientId: string): Config {
  const security = `${sasl === undefined ? '' : 'sasl_'}${ssl === false ? 'plaintext' : 'ssl'}`;
  return {
    'bootstrap.servers': brokers.join(','),
    'client.id': clientId,
    'socket.timeout.ms': Math.max(SHORTEST_REQUEST_MS, requestTimeoutMs),
    'socket.connection.setup.timeout.ms': Math.max(1000, requestTimeoutMs),
    'socket.nagle.disable': true,
    'socket.keepalive.enable': true,
    'reconnect.backoff.ms': RECONNECT_MS,
    'reconnect.backoff.max.ms': LONGEST_RECONNECT_MS,
    'retry.backoff.ms': RECONNECT_MS,
    'allow.auto.create.topics': false,
    log_level: WARNINGS,
    'security.protocol': security,
    ...(ssl === false ? {} : tlsConfig(ssl)),
    ...(sasl === undefined
      ? {}
      : { 'sasl.mechanisms': sasl.mechanism.toUpperCase(), 'sasl.username': sasl.username, 'sasl.password': sasl.password }),
  };
}

/** Of a producer: idempotent, no try of its own after the time in which it is waited for, and nothing is appended behind a record that was refused. */
export function producerConfig({ confirmTimeoutMs }: Settings): Config {
  return {
    'enable.idempotence': true,
    'enable.gapless.guarantee': true,
    partitioner: 'murmur2_random',
    dr_cb: true,
    'linger.ms': 1,
    'message.timeout.ms': confirmTimeoutMs,
    'message.max.bytes': MOST_MESSAGE_BYTES,
    'batch.size': BATCH_BYTES,
    'batch.num.messages': BATCH_RECORDS,
    'topic.metadata.propagation.max.ms': 2000,
  };
}

/** Trusts whom Node trusts, if nobody else is named. */
function tlsConfig(ssl: true | BrokerTlsOptions): Config {
  const { ca, cert, key, passphrase } = ssl === true ? ({} as BrokerTlsOptions) : ssl;
  const texts = (pem: BrokerTlsOptions['ca'] | undefined) => (pem === undefined ? [] : [pem].flat().map(String));
  return {
    'ssl.ca.pem': (ca === undefined ? [...rootCertificates, ...namedAuthorities()] : texts(ca)).join('\n'),
    ...(cert === undefined ? {} : { 'ssl.certificate.pem': String(cert) }),
    ...(key === undefined ? {} : { 'ssl.key.pem': String(key) }),
    ...(passphrase === undefined ? {} : { 'ssl.key.password': passphrase }),
  };
}

function namedAuthorities(): readonly string[] {
  const { NODE_EXTRA_CA_CERTS: file } = process.env;
  if (!file) return [];
  try {
    return [readFileSync(file, 'utf8')];
  } catch {
    // Node goes on without it, too.
    return [];
  }
}
