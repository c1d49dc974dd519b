// Plain JavaScript, because Jest's global set-up uses it before anything is compiled.
const http2 = require('node:http2');
const { connect } = require('node:net');

/** One that is named has this long to answer; what is on a default port may be anything, and is waited for less. */
const NAMED_MS = 5_000;
const DEFAULT_MS = 1_500;

/**
 * The brokers of a run: the one that the environment names, or the one that answers on the default port as such a broker does, or one that is started here when it is asked
 * for (`{}`). With none of them, why there is none.
 */
async function findBrokers(environment = process.env) {
  const [rabbit, kafka, rocketmq] = await Promise.all([findRabbit(environment), findKafka(environment), findRocketmq(environment)]);
  return { rabbit, kafka, rocketmq };
}

/** HOLDFAST_TEST_RABBITMQ, or the default port, if it lets `guest` in. */
function findRabbit({ HOLDFAST_TEST_RABBITMQ: named }, { url = 'amqp://guest:guest@127.0.0.1:5672', tools = toolsOf('rabbitmq') } = {}) {
  return find({ broker: 'RabbitMQ', variable: 'HOLDFAST_TEST_RABBITMQ', named, byDefault: url, ask: askRabbit, tools });
}

/** HOLDFAST_TEST_KAFKA, or the default port. */
function findKafka({ HOLDFAST_TEST_KAFKA: named }, { address = '127.0.0.1:9092', tools = toolsOf('kafka') } = {}) {
  return find({ broker: 'Kafka', variable: 'HOLDFAST_TEST_KAFKA', named, byDefault: address, ask: askKafka, tools });
}

/** HOLDFAST_TEST_ROCKETMQ (`<endpoint>,<name server>`), or the default ports of both. */
function findRocketmq({ HOLDFAST_TEST_ROCKETMQ: named }, { places = '127.0.0.1:8081,127.0.0.1:9876', tools = toolsOf('rocketmq') } = {}) {
  return find({ broker: 'RocketMQ', variable: 'HOLDFAST_TEST_ROCKETMQ', named, byDefault: places, ask: askRocketmq, tools });
}

async function find({ broker, variable, named, byDefault, ask, tools }) {
  if (named)
    try {
      return { ...(await ask(named, NAMED_MS)), isNamed: true };
    } catch (cause) {
      throw new Error(`${variable} (${named}) does not answer: ${said(cause)}`, { cause });
    }
  try {
    return await ask(byDefault, DEFAULT_MS);
  } catch (cause) {
    const missing = tools();
    if (missing === undefined) return {};
    return {
      reason: `no ${broker}: ${byDefault.replace(/^.*@/, '')} does not answer (${said(cause)}), and ${missing}; name one with ${variable}`,
    };
  }
}

/** Why none can be started here. */
function toolsOf(broker) {
  return () => require(`@holdfast-internal/embedded-${broker}`).missingTools();
}

function said({ message, code }) {
  return message || code;
}

async function askRabbit(url, patienceMs) {
  const connection = await require('amqplib').connect(url, { timeout: patienceMs });
  connection.on('error', () => undefined);
  const { version } = connection.connection.serverProperties;
  await connection.close();
  return { url, version };
}

/** ApiVersions in its oldest form, which every Kafka answers, if only to say that it is too old; correlation id 7, no client. */
const API_VERSIONS = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]);
const UNSUPPORTED_VERSION = 35;

/** Its first answer is looked at before a client is let at it: one that gets bytes of something else waits for the rest of them. */
async function askKafka(address, patienceMs) {
  const answer = await firstBytes({ address, request: API_VERSIONS, count: 10, patienceMs });
  const [id, error] = [answer.readInt32BE(4), answer.readInt16BE(8)];
  if (id !== 7 || (error !== 0 && error !== UNSUPPORTED_VERSION)) throw new Error('what is there is no Kafka');
  const { Kafka, logLevel } = require('kafkajs');
  const timeouts = { connectionTimeout: patienceMs, requestTimeout: patienceMs };
  const admin = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, ...timeouts, retry: { retries: 1 } }).admin();
  try {
    await admin.connect();
    // Also at the address by which it calls itself.
    await admin.listTopics();
    return { address };
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** Of RocketMQ's `RequestCode`. */
const TELL_CLUSTER = 106;

async function askRocketmq(places, patienceMs) {
  const [endpoint, nameServer] = places.split(',');
  await askProxy(endpoint, patienceMs);
  // Loaded late: it has to be built.
  const { invoke } = require('@holdfast-internal/embedded-rocketmq');
  const { body } = await within(patienceMs, nameServer, invoke(nameServer, { code: TELL_CLUSTER }));
  const [broker] = /[\d.]+:\d+/.exec(body) ?? [];
  if (broker === undefined) throw new Error(`${nameServer} knows no broker of RocketMQ`);
  return { endpoint, nameServer, broker };
}

/** An empty question about a topic: whatever it says of that, a server of something else has no such method. */
const METHOD = '/apache.rocketmq.v2.MessagingService/QueryRoute';
const EMPTY_MESSAGE = Buffer.alloc(5);
const UNIMPLEMENTED = '12';

async function askProxy(endpoint, patienceMs) {
  const session = http2.connect(`http://${endpoint}`);
  try {
    const status = await within(
      patienceMs,
      endpoint,
      new Promise((resolve, reject) => {
        session.on('error', reject).on('close', () => reject(new Error(`${endpoint} closed the connection`)));
        const call = session.request({ ':method': 'POST', ':path': METHOD, 'content-type': 'application/grpc', te: 'trailers' });
        const look = (headers) => headers['grpc-status'] !== undefined && resolve(headers['grpc-status']);
        call.on('response', look).on('trailers', look).on('error', reject);
        call.on('end', () => reject(new Error(`what is at ${endpoint} is no gRPC`))).resume();
        call.end(EMPTY_MESSAGE);
      }),
    );
    if (status === UNIMPLEMENTED) throw new Error(`what is at ${endpoint} is no proxy of RocketMQ`);
  } finally {
    session.destroy();
  }
}

/** Asks with these bytes, for the first so many of the answer. */
function firstBytes({ address, request, count, patienceMs }) {
  const [host, port] = address.split(':');
  const socket = connect({ host, port: Number(port) }, () => socket.write(request));
  const answer = new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    socket.on('error', reject).on('close', () => reject(new Error('it closed the connection')));
    socket.on('data', (chunk) => {
      seen = Buffer.concat([seen, chunk]);
      if (seen.length >= count) resolve(seen);
    });
  });
  return within(patienceMs, address, answer).finally(() => socket.destroy());
}

async function within(patienceMs, address, answer) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${address} says nothing`)), patienceMs);
  });
  answer.catch(() => undefined);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { findBrokers, findKafka, findRabbit, findRocketmq };
