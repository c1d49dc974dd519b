// Runs in Jest's main process, once for each project with tests in the run; the workers inherit the environment.
const { execFileSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..', '..');

module.exports = async function globalSetup() {
  if (globalThis.holdfastTestServer) return;
  if (!existsSync(join(root, 'tools/embedded-postgres/dist/watchdog.js'))) {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', 'tools/embedded-postgres'], {
      cwd: root,
      stdio: 'inherit',
    });
  }
  const { EmbeddedPostgres } = require('@holdfast-internal/embedded-postgres');
  const { describeServer, dropStaleDatabases, findExternalServer, findRabbit } = require('./find-servers.cjs');
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
  process.env.HOLDFAST_TEST_BROKERS = JSON.stringify({ rabbit });
};
