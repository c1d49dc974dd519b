// Plain JavaScript, because Jest's global set-up uses it before anything is compiled.
const { Client } = require('pg');

const HOUR_MS = 3_600_000;

/** The PostgreSQL of the machine: HOLDFAST_TEST_POSTGRES, or one on the default port that lets `postgres` in. */
async function findExternalServer() {
  const named = process.env.HOLDFAST_TEST_POSTGRES;
  try {
    return await describeServer(named ?? 'postgres://postgres@127.0.0.1:5432/postgres');
  } catch (cause) {
    if (named) throw new Error(`HOLDFAST_TEST_POSTGRES (${named}) does not answer: ${cause.message}`, { cause });
    return undefined;
  }
}

async function describeServer(url) {
  const rows = await query(
    url,
    `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('max_prepared_transactions')::int AS "maxPreparedTransactions",
            current_setting('wal_level') AS "walLevel"`,
  );
  return { name: `PostgreSQL ${rows[0].major}`, url, ...rows[0] };
}

/** Databases of test runs that were killed: their names carry the time they were made (see test-database.ts). */
async function dropStaleDatabases(url) {
  for (const { datname } of await query(url, "SELECT datname FROM pg_database WHERE datname LIKE 'holdfast\\_test\\_%'")) {
    const madeAt = Number.parseInt(datname.split('_')[2], 36);
    if (madeAt < Date.now() - HOUR_MS) await query(url, `DROP DATABASE IF EXISTS "${datname}" WITH (FORCE)`);
  }
}

/** The RabbitMQ of the machine: HOLDFAST_TEST_RABBITMQ, or one on the default port that lets `guest` in. With it, why there is none. */
async function findRabbit() {
  const named = process.env.HOLDFAST_TEST_RABBITMQ;
  const url = named ?? 'amqp://guest:guest@127.0.0.1:5672';
  try {
    const { connect } = require('amqplib');
    const connection = await connect(url, { timeout: 5_000 });
    connection.on('error', () => undefined);
    const { version } = connection.connection.serverProperties;
    await connection.close();
    return { url, version };
  } catch (cause) {
    if (named) throw new Error(`HOLDFAST_TEST_RABBITMQ (${named}) does not answer: ${cause.message}`, { cause });
    return { reason: `no RabbitMQ: ${cause.message || cause.code}; name one with HOLDFAST_TEST_RABBITMQ` };
  }
}

/** The Kafka of this run: HOLDFAST_TEST_KAFKA, or one that can be started here. With neither, why there is none. */
async function findKafka() {
  const named = process.env.HOLDFAST_TEST_KAFKA;
  if (!named) {
    const missing = require('@holdfast-internal/embedded-kafka').missingTools();
    return missing ? { reason: `no Kafka: ${missing}; name one with HOLDFAST_TEST_KAFKA` } : {};
  }
  const { Kafka, logLevel } = require('kafkajs');
  const admin = new Kafka({ brokers: [named], logLevel: logLevel.NOTHING, retry: { retries: 1 } }).admin();
  try {
    await admin.connect();
    await admin.disconnect();
    return { address: named };
  } catch (cause) {
    throw new Error(`HOLDFAST_TEST_KAFKA (${named}) does not answer: ${cause.message}`, { cause });
  }
}

/**
 * The RocketMQ of this run: HOLDFAST_TEST_ROCKETMQ (`<endpoint>,<name server>`), or one that can be started here. With neither, why there is none.
 */
async function findRocketmq() {
  const named = process.env.HOLDFAST_TEST_ROCKETMQ;
  const { invoke, missingTools } = require('@holdfast-internal/embedded-rocketmq');
  if (!named) {
    const missing = missingTools();
    return missing ? { reason: `no RocketMQ: ${missing}; name one with HOLDFAST_TEST_ROCKETMQ` } : {};
  }
  const [endpoint, nameServer] = named.split(',');
  try {
    const { body } = await invoke(nameServer, { code: 106 });
    const [broker] = /[\d.]+:\d+/.exec(body);
    return { endpoint, nameServer, broker };
  } catch (cause) {
    throw new Error(`HOLDFAST_TEST_ROCKETMQ (${named}) does not answer: ${cause.message}`, { cause });
  }
}

async function query(url, sql) {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

module.exports = { describeServer, dropStaleDatabases, findExternalServer, findKafka, findRabbit, findRocketmq };
