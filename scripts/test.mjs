// `npm test`: everything that can be checked, one line of totals at the end. `npm test -- <jest arguments>`: only Jest.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled, root } from './ensure-installed.mjs';
import { failedTests } from './failed-tests.mjs';
import { provenTests } from './proven-tests.mjs';
import { bin, build, runNode } from './run.mjs';

const totals = { passed: 0, failed: 0, skipped: 0 };
const lines = [];
const failures = [];
/** Of all stages, what the table of promises is made of. */
const tests = [];
/** What knows TypeORM, or PostgreSQL: versions are tested by a diagonal, the older of both together. */
const ON_OLD_VERSIONS = [
  'packages/typeorm',
  'test/e2e/unit-of-work',
  'toolchain',
  'test/log/.*int',
  'test/cli/(schema|typeorm-runner)',
  'test/support/test-database',
];
/** More of them is one cause, or a broken machine. */
const MOST_FAILURES = 20;

ensureInstalled();
const args = process.argv.slice(2);
if (args.length > 0) await quick();
else await everything();

async function quick() {
  if (!build()) console.error('The build failed; the tests run on the sources all the same.');
  // Who asks for the contracts wants their table.
  const wantsTable = args.some((arg) => arg.includes('contracts')) && !args.some((arg) => /^--(json|outputFile)/.test(arg));
  const report = wantsTable ? reportFile('some tests') : undefined;
  const ok = runNode([bin.jest, ...args, ...(report ? ['--json', `--outputFile=${report}`] : [])]);
  if (report && existsSync(report)) {
    tests.push(...provenTests(JSON.parse(readFileSync(report, 'utf8')), root));
    await tellPromises();
    tellFailures();
  }
  process.exit(ok && totals.failed === 0 ? 0 : 1);
}

async function everything() {
  check('lint', () => runNode([bin.biome, 'check', '--error-on-warnings', '.']));
  check('build', build);
  // These wait a good part of their time, for a broker, a lease, a time-out or a death to be found: a third worker keeps both cores of a small machine busy.
  jest('tests', ['--selectProjects', 'unit', 'int', 'e2e', '--maxWorkers=3'], { HOLDFAST_TEST_TYPEORM: '1' });
  jest('crash tests', ['--selectProjects', 'crash', '--maxWorkers=3']);
  if (hasSpecs('packages/typeorm/src'))
    jest('tests on TypeORM 0.3', [...ON_OLD_VERSIONS, '--maxWorkers=3'], { HOLDFAST_TEST_TYPEORM: '0.3' });
  check('types of the tests', () => runNode([bin.tsc, '-p', 'test/tsconfig.json']));
  if (existsSync(join(root, 'test/api/tsconfig.json'))) {
    check('test/api with TypeScript 7', () => runNode([bin.tsc, '-p', 'test/api/tsconfig.json']));
    check('test/api with TypeScript 5.9', () => runNode([bin.tsc5, '-p', 'test/api/tsconfig.json']));
  }
  if (existsSync(join(root, 'test/packages/check.mjs'))) packages();
  await tellPromises();
  tellFailures();
  console.log(`\n${lines.join('\n')}\n`);
  console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exitCode = totals.failed > 0 ? 1 : 0;
}

function check(name, run) {
  if (run()) count(name, { passed: 1 });
  else fail(name);
}

function jest(name, patterns, env = {}) {
  const result = runWithReport(name, [bin.jest, '--json', '--passWithNoTests', ...patterns], env, '--outputFile=');
  if (!result) return;
  tests.push(...provenTests(result, root));
  failures.push(...failedTests(result, root).map((failure) => `${name}: ${failure}`));
  count(name, {
    passed: result.numPassedTests,
    failed: result.numFailedTests + result.numRuntimeErrorTestSuites,
    skipped: result.numPendingTests + result.numTodoTests,
  });
  // A run that fails for another reason (a global set-up, an open handle) has no failed test.
  if (!result.success && result.numFailedTests + result.numRuntimeErrorTestSuites === 0) fail(`${name}: the run itself`);
}

function packages() {
  const result = runWithReport('packed packages', ['test/packages/check.mjs'], {}, '--report=');
  if (!result) return;
  failures.push(...result.failures.map((failure) => `packed packages: ${failure}`));
  count('packed packages', result);
}

function runWithReport(name, command, env, option) {
  const file = reportFile(name);
  const ok = runNode([...command, `${option}${file}`], { env: { ...process.env, ...env } });
  if (existsSync(file)) return { ok, ...JSON.parse(readFileSync(file, 'utf8')) };
  fail(`${name}: ended without a result`);
  return undefined;
}

/** Where a program writes what came of it; nothing is there yet. */
function reportFile(name) {
  const file = join(root, '.cache', `report-${name.replaceAll(/\W+/g, '-')}.json`);
  mkdirSync(join(root, '.cache'), { recursive: true });
  rmSync(file, { force: true });
  return file;
}

/** Transport × promise, of what has run. A table that cannot be made is a failure, and must not cost the lines that follow it. */
async function tellPromises() {
  try {
    // Loaded late: they need the dependencies that are installed first.
    const [{ Project }, { resultsOf }] = await Promise.all([import('./docs/project.mjs'), import('./docs/guarantees.mjs')]);
    const table = resultsOf(new Project(root), tests);
    if (table !== undefined) console.log(`\nWhat is promised, and how many tests of this run have proven it:\n\n${table}`);
  } catch (error) {
    fail(`the table of promises: ${String(error?.message ?? error).split('\n')[0]}`);
  }
}

function fail(name) {
  failures.push(name);
  count(name, { failed: 1 });
}

function count(name, { passed = 0, failed = 0, skipped = 0 }) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
  lines.push(`${failed > 0 ? '✗' : '✓'} ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
}

/** At the end of the log, where it is looked for. */
function tellFailures() {
  if (failures.length === 0) return;
  const more = failures.length - MOST_FAILURES;
  console.log(`\nFailed:\n${failures.slice(0, MOST_FAILURES).join('\n')}${more > 0 ? `\n… and ${more} more` : ''}`);
}

function hasSpecs(directory) {
  const path = join(root, directory);
  return existsSync(path) && readdirSync(path, { recursive: true }).some((file) => /\.(int|e2e|crash)\.spec\.ts$/.test(file));
}
