// Runs in Jest's main process, once for each project with tests in the run; the workers inherit the environment.
const { execFileSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..', '..');

module.exports = async function globalSetup() {
  if (globalThis.holdfastTestServer) return;
  const built = ['tools/embedded-postgres', 'tools/embedded-kafka', 'tools/embedded-rocketmq'];
  if (!built.every((tool) => existsSync(join(root, tool, 'dist/index.js'))))
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...built], { cwd: root, stdio: 'inherit' });
  const { EmbeddedPostgres } = require('@holdfast-internal/embedded-postgres');
  const { describeServer, dropStaleDatabases, findExternalServer, findKafka, findRabbit, findRocketmq } = require('./find-servers.cjs');
  const { findMemory, removeStaleServers } = require('./memory.cjs');
  const { BrokerStarter } = require('./broker-starter.cjs');
  removeStaleServers();
  // Tests kill processes, not the machine, so nothing that was written is lost without a flush.
  const embedded = await EmbeddedPostgres.start({
    fsync: false,
    parentDirectory: findMemory(),
    // Of each worker three cases at a time, each with several processes and their pools.
    settings: { max_connections: 600, full_page_writes: false },
  });
  globalThis.holdfastTestServer = embedded;
  const external = await findExternalServer();
  if (external) await dropStaleDatabases(external.url);
  const servers = [
    { ...(await describeServer(embedded.url)), isEmbedded: true },
    ...(external ? [{ ...external, isEmbedded: false }] : []),
  ];
  process.env.HOLDFAST_TEST_SERVERS = JSON.stringify(servers);
  const rabbit = await findRabbit();
  if (rabbit.reason) process.stderr.write(`\nsuites that need a RabbitMQ are skipped, or with CI=true fail: ${rabbit.reason}\n`);
  const kafka = await findKafka();
  if (kafka.reason) process.stderr.write(`\nsuites that need a Kafka are skipped, or with CI=true fail: ${kafka.reason}\n`);
  const rocketmq = await findRocketmq();
  if (rocketmq.reason) process.stderr.write(`\nsuites that need a RocketMQ are skipped, or with CI=true fail: ${rocketmq.reason}\n`);
  // Started when the first suite asks for it: most runs have none that does.
  const starters = {
    kafka:
      kafka.reason || kafka.address
        ? undefined
        : await BrokerStarter.open(
            () => require('@holdfast-internal/embedded-kafka').EmbeddedKafka.start(),
            ({ address }) => ({ address }),
          ),
    rocketmq:
      rocketmq.reason || rocketmq.endpoint
        ? undefined
        : await BrokerStarter.open(
            () => require('@holdfast-internal/embedded-rocketmq').EmbeddedRocketmq.start(),
            ({ endpoint, nameServer, broker }) => ({ endpoint, nameServer, broker }),
          ),
  };
  globalThis.holdfastBrokerStarters = Object.values(starters);
  process.env.HOLDFAST_TEST_BROKERS = JSON.stringify({
    rabbit,
    kafka: { ...kafka, starter: starters.kafka?.port },
    rocketmq: { ...rocketmq, starter: starters.rocketmq?.port },
  });
};
