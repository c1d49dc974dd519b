// Runs in Jest's main process, once for each project with tests in the run; the workers inherit the environment.
const { execFileSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..', '..');

module.exports = async function globalSetup() {
  if (globalThis.holdfastTestServer) return;
  const built = ['tools/embedded-postgres', 'tools/embedded-kafka'];
  if (!built.every((tool) => existsSync(join(root, tool, 'dist/index.js'))))
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...built], { cwd: root, stdio: 'inherit' });
  const { EmbeddedPostgres } = require('@holdfast-internal/embedded-postgres');
  const { describeServer, dropStaleDatabases, findExternalServer, findKafka, findRabbit } = require('./find-servers.cjs');
  const { KafkaStarter } = require('./kafka-starter.cjs');
  // Tests kill processes, not the machine, so nothing that was written is lost without a flush.
  const embedded = await EmbeddedPostgres.start({ fsync: false });
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
  // Started when the first suite asks for it: most runs have none that does.
  const starter = kafka.reason || kafka.address ? undefined : await KafkaStarter.open();
  globalThis.holdfastKafkaStarter = starter;
  process.env.HOLDFAST_TEST_BROKERS = JSON.stringify({ rabbit, kafka: { ...kafka, ...(starter && { starter: starter.port }) } });
};
