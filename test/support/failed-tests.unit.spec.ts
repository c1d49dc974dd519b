import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(__dirname, '..', '..');

describe('what `npm test` tells at its end', () => {
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'holdfast-failed-tests-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it('names each failed test, and each file that could not be run, with the first lines of why', () => {
    const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
    write('jest.config.cjs', 'module.exports = { testMatch: ["**/*.check.js"], transform: {} };');
    write(
      'some.check.js',
      `describe('an outbox', () => {
         it('sends', () => undefined);
         it('waits', () => { throw new Error('it did not wait\\nfor anything'); });
         it.skip('sleeps', () => undefined);
       });`,
    );
    write('broken.check.js', 'throw new Error("cannot be loaded");');
    write('closing.check.js', 'afterAll(() => { throw new Error("left open"); }); it("passes", () => undefined);');
    const report = join(directory, 'report.json');
    const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
    spawnSync(process.execPath, [jest, '--ci', '-i', '--json', `--outputFile=${report}`, '--rootDir', directory], { cwd: directory });
    const program = `import { failedTests } from ${JSON.stringify(pathToFileURL(join(ROOT, 'scripts/failed-tests.mjs')).href)};
      import { readFileSync } from 'node:fs';
      console.log(JSON.stringify(failedTests(JSON.parse(readFileSync(process.argv[1], 'utf8')), process.argv[2]).sort()));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program, report, directory], { encoding: 'utf8' });
    expect(JSON.parse(stdout)).toEqual([
      'broken.check.js\n    cannot be loaded',
      'closing.check.js\n    left open',
      'some.check.js: an outbox waits\n    Error: it did not wait\n    for anything',
    ]);
  });
});
