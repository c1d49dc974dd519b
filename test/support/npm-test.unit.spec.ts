import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
/** A Jest in which all is well. */
const RESULT = { success: true, numPassedTests: 2, numFailedTests: 0, numRuntimeErrorTestSuites: 0, numPendingTests: 0, numTodoTests: 0 };
const REPORT = JSON.stringify({ ...RESULT, testResults: [] });
/** What `scripts/test.mjs` stands on, without any of its work. */
const AROUND: Readonly<Record<string, string>> = {
  'ensure-installed.mjs': `import { dirname } from 'node:path';
    export const root = dirname(import.meta.dirname);
    export const ensureInstalled = () => undefined;`,
  'run.mjs': `import { writeFileSync } from 'node:fs';
    export const bin = {};
    export const build = () => true;
    export function runNode(args) {
      const file = args.find((arg) => arg?.startsWith('--outputFile='))?.slice('--outputFile='.length);
      if (file) writeFileSync(file, ${JSON.stringify(REPORT)});
      return true;
    }`,
  'docs/project.mjs': 'export class Project {}',
};

describe('`npm test` with a table of promises that cannot be made', () => {
  let clone: string;

  beforeAll(() => {
    clone = mkdtempSync(join(tmpdir(), 'holdfast-npm-test-'));
    mkdirSync(join(clone, 'scripts/docs'), { recursive: true });
    for (const name of ['test.mjs', 'failed-tests.mjs', 'proven-tests.mjs'])
      cpSync(join(ROOT, 'scripts', name), join(clone, 'scripts', name));
    for (const [name, text] of Object.entries(AROUND)) writeFileSync(join(clone, 'scripts', name), text);
    const guarantees = "export function resultsOf() { throw new Error('no such file\\nas that'); }";
    writeFileSync(join(clone, 'scripts/docs/guarantees.mjs'), guarantees);
  });
  afterAll(() => rmSync(clone, { recursive: true }));

  const npmTest = (...args: string[]) =>
    spawnSync(process.execPath, [join(clone, 'scripts/test.mjs'), ...args], { encoding: 'utf8', cwd: clone });

  it('counts it as a failure, names it, and ends with the totals all the same', () => {
    const { stdout, status } = npmTest();
    expect(stdout.split('\n')).toContain('the table of promises: no such file');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^\d+ passed, 1 failed, 0 skipped$/);
    expect(status).toBe(1);
  });

  it('fails for it, too, when it was asked for the contracts alone', () => {
    const { stdout, status } = npmTest('test/contracts');
    expect(stdout).toBe('\nFailed:\nthe table of promises: no such file\n');
    expect(status).toBe(1);
  });
});
