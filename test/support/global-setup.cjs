// Runs in Jest's main process, once for each project with tests in the run; the workers inherit the environment.
const { execFileSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { BrokerStarter } = require('./broker-starter.cjs');

const root = join(__dirname, '..', '..');

module.exports = async function globalSetup({ testPathPatterns } = {}) {
  if (globalThis.holdfastTestServer) return;
  const built = ['tools/embedded-postgres', 'tools/embedded-kafka', 'tools/embedded-rabbitmq', 'tools/embedded-rocketmq'];
  if (!built.every((tool) => existsSync(join(root, tool, 'dist/index.js'))))
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', ...built], { cwd: root, stdio: 'inherit' });
  const { EmbeddedPostgres } = require('@holdfast-internal/embedded-postgres');
  const { describeServer, dropStaleDatabases, findExternalServer } = require('./find-servers.cjs');
  const { findBrokers } = require('./find-brokers.cjs');
  const { skippedSuites, specFiles } = require('./skipped-suites.cjs');
  const { findMemory, removeStaleServers } = require('./memory.cjs');
  removeStaleServers();
  // Tests kill processes, not the machine, so nothing that was written is lost without a flush.
  const embedded = await EmbeddedPostgres.start({
    fsync: false,
    parentDirectory: findMemory(),
    hasUnixSocket: true,
    // Of each worker three cases at a time, each with several processes and their pools.
    settings: { max_connections: 900, full_page_writes: false },
  });
  globalThis.holdfastTestServer = embedded;
  const external = await findExternalServer();
  if (external) await dropStaleDatabases(external.url);
  const servers = [
    { ...(await describeServer(embedded.url)), isEmbedded: true },
    ...(external ? [{ ...external, isEmbedded: false }] : []),
  ];
  process.env.HOLDFAST_TEST_SERVERS = JSON.stringify(servers);
  const brokers = await findBrokers();
  const missing = (tool) => require(`@holdfast-internal/embedded-${tool}`).missingTools();
  const skipped = skippedSuites({ found: brokers, missing, files: specFiles(root, testPathPatterns?.patterns) });
  for (const line of skipped) process.stderr.write(`\n${line}\n`);
  const starters = {
    rabbit: await starterOf(brokers.rabbit, {
      start: () => require('@holdfast-internal/embedded-rabbitmq').EmbeddedRabbitmq.start(),
      placeOf: ({ place }) => place,
    }),
    kafka: await starterOf(brokers.kafka, {
      start: () => require('@holdfast-internal/embedded-kafka').EmbeddedKafka.start(),
      placeOf: ({ address }) => ({ address }),
    }),
    rocketmq: await starterOf(brokers.rocketmq, {
      // It stays until the end of the run, and most of the tests do not use it.
      start: () => require('@holdfast-internal/embedded-rocketmq').EmbeddedRocketmq.start({ isLazy: true }),
      placeOf: ({ endpoint, nameServer, broker }) => ({ endpoint, nameServer, broker }),
    }),
  };
  globalThis.holdfastBrokerStarters = Object.values(starters);
  process.env.HOLDFAST_TEST_BROKERS = JSON.stringify(
    Object.fromEntries(Object.entries(brokers).map(([name, found]) => [name, { ...found, starter: starters[name]?.port }])),
  );
};

/** Where none was found and there is no reason why none can be started: started when the first suite asks for it, as most runs have none that does. */
function starterOf(found, { start, placeOf }) {
  return Object.keys(found).length > 0 ? undefined : BrokerStarter.open(start, placeOf);
}
