// The table of guarantees in the README, and what a run has proven of it: the tests' own tables, printed with the capabilities as the sources of the transports have them.
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { compileFunction } from 'node:vm';
import ts from 'typescript-5';
import { plainRecordOf } from './capabilities.mjs';

const README = 'README.md';
const TABLE = 'test/contracts/guarantees-table.ts';
const RESULTS = 'test/contracts/results-table.ts';
const PLACE = /(<!-- guarantees:begin -->\n)[\s\S]*?(<!-- guarantees:end -->)/;

/** The README with its table renewed, by path. */
export function readmeWithGuarantees(project, root) {
  const text = readFileSync(join(root, README), 'utf8').replaceAll('\r\n', '\n');
  if (!PLACE.test(text))
    throw new Error(`${README} has no place for the table of guarantees: <!-- guarantees:begin -->, <!-- guarantees:end -->`);
  return { [README]: text.replace(PLACE, (_, begin, end) => `${begin}${loaded(project, TABLE).guaranteesTable()}\n${end}`) };
}

/** What a run of Jest has proven of them, as a table; undefined when the contracts were not in it. @param tests as `provenTests` has them */
export function resultsOf(project, tests) {
  return loaded(project, RESULTS).resultsTable(tests);
}

/** Runs a table without a build: what it imports are records of capabilities, which are read from the sources, and files beside it. */
function loaded(project, path) {
  const { outputText } = ts.transpileModule(project.file(path).text, {
    fileName: path,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const exports = {};
  const load = (name) => (name.startsWith('./') ? loaded(project, sourceBeside(path, name)) : recordsOf(project, name));
  compileFunction(outputText, ['exports', 'require'], { filename: path })(exports, load);
  return exports;
}

function sourceBeside(path, name) {
  return posix.join(posix.dirname(path), name.replace(/\.js$/, '.ts'));
}

function recordsOf(project, name) {
  const own = project.packages().find((each) => each.name === name);
  if (!own) throw new Error(`test/contracts imports ${name}, which is none of our packages`);
  const records = [...project.exportsOf(`${own.folder}/src/index.ts`)].filter(([each]) => each.endsWith('_CAPABILITIES'));
  return Object.fromEntries(records.map(([each, record]) => [each, plainRecordOf(record)]));
}
