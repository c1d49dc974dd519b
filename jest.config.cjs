const { existsSync } = require('node:fs');
const { join } = require('node:path');

// What a file of tests may never need, though what it imports does: loaded when it is used, as every file loads all of its modules anew.
const onDemand = ['kafkajs', 'amqplib', '@holdfast-internal/embedded-kafka', '@holdfast-internal/embedded-rocketmq'];

// Nest 12 is ESM-only and Jest cannot require ESM before Node 24.9 (jestjs/jest#15275): compile it like our own sources.
const transform = {
  '^.+\\.(ts|m?js)$': [
    '@swc/jest',
    {
      jsc: {
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
        target: 'es2022',
      },
      module: { type: 'commonjs', lazy: onDemand },
      sourceMaps: 'inline',
    },
  ],
};

const common = {
  rootDir: __dirname,
  roots: ['packages', 'test', 'tools', 'samples', 'bench']
    .filter((path) => existsSync(join(__dirname, path)))
    .map((path) => `<rootDir>/${path}`),
  testEnvironment: 'node',
  transform,
  transformIgnorePatterns: ['/node_modules/(?!(@nestjs|uid|@lukeed)/)'],
  resolver: '<rootDir>/test/support/resolver.cjs',
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '<rootDir>/test/api/', '<rootDir>/test/packages/fixtures/'],
  setupFiles: ['reflect-metadata'],
};

const withServers = {
  globalSetup: '<rootDir>/test/support/global-setup.cjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.cjs',
};

module.exports = {
  rootDir: __dirname,
  // The workers share one PostgreSQL, and the machine that runs this may have two cores.
  maxWorkers: 2,
  // Cases of a contract at a time: a broker does most of the work of each.
  maxConcurrency: 3,
  // More than anything is waited for (`PATIENCE_MS` of the test support), so that a test tells what did not come; the first start on a machine fetches a broker.
  testTimeout: 600_000,
  cacheDirectory: '<rootDir>/.cache/jest',
  testSequencer: '<rootDir>/test/support/sequencer.cjs',
  projects: [
    { ...common, displayName: 'unit', testMatch: ['**/*.unit.spec.ts'] },
    { ...common, displayName: 'int', testMatch: ['**/*.int.spec.ts'], ...withServers },
    { ...common, displayName: 'e2e', testMatch: ['**/*.e2e.spec.ts'], ...withServers },
    { ...common, displayName: 'crash', testMatch: ['**/*.crash.spec.ts'], ...withServers },
  ].map((project) => ({ ...project, cacheDirectory: '<rootDir>/.cache/jest' })),
};
