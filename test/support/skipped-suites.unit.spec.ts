import { join } from 'node:path';

const { skippedSuites, specFiles } = require('./skipped-suites.cjs') as {
  skippedSuites(options: {
    readonly found: Readonly<Record<'rabbit' | 'kafka' | 'rocketmq', { readonly reason?: string; readonly isNamed?: boolean }>>;
    readonly missing: (tool: string) => string | undefined;
    readonly files: readonly { readonly path: string; readonly text: string }[];
  }): readonly string[];
  specFiles(root: string, patterns?: readonly string[]): readonly { readonly path: string; readonly text: string }[];
};

const ROOT = join(__dirname, '..', '..');
const FILES = [
  { path: 'test/e2e/a.e2e.spec.ts', text: "describeWithRabbit('x', () => {" },
  { path: 'test/e2e/b.e2e.spec.ts', text: "describeWithRabbit('x', () => {" },
  { path: 'test/crash/c.crash.spec.ts', text: "describeWithOwnRabbit('x', () => {" },
  { path: 'test/crash/d.crash.spec.ts', text: "describeWithKafka('x', () => {" },
];
const nothing = { rabbit: {}, kafka: {}, rocketmq: {} };

describe('what a run says of suites that miss their broker', () => {
  it('is how many files, where and why, for what it has and what it would have to start', () => {
    expect(
      skippedSuites({
        found: { ...nothing, rabbit: { reason: 'no RabbitMQ' } },
        missing: (tool) => (tool === 'rabbitmq' ? 'no rabbitmq-server is installed' : undefined),
        files: FILES,
      }),
    ).toEqual([
      '2 files of tests that need a RabbitMQ are skipped, or with CI=true fail: no RabbitMQ. They are in test/e2e (2)',
      '1 files of tests that need a RabbitMQ of their own are skipped, or with CI=true fail: none can be started here: no rabbitmq-server is installed. They are in test/crash (1)',
    ]);
  });

  it.each([
    [', also with CI=true', 'is named for the others', { isNamed: true }],
    [', or with CI=true fail', 'was only found', {}],
  ])('is that those with one of their own are skipped%s, where one %s', (inCi, _, rabbit) => {
    expect(skippedSuites({ found: { ...nothing, rabbit }, missing: () => 'no tools', files: FILES })).toEqual([
      expect.stringMatching(`^1 files of tests that need a RabbitMQ of their own are skipped${inCi}: none can be started here: no tools`),
    ]);
  });

  it('is nothing where there is all, or the run has no such suites', () => {
    expect(skippedSuites({ found: nothing, missing: () => undefined, files: FILES })).toEqual([]);
    expect(skippedSuites({ found: { ...nothing, rocketmq: { reason: 'none' } }, missing: () => 'none', files: [] })).toEqual([]);
  });

  it('is of the files that the run was asked for', () => {
    const asked = specFiles(ROOT, ['test/crash/broker']);
    expect(asked.map(({ path }) => path)).toEqual(['test/crash/broker.crash.spec.ts']);
    expect(specFiles(ROOT).length).toBeGreaterThan(200);
  });
});
