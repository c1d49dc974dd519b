// The table of guarantees in the README: the tests' own table, printed with the capabilities as the sources of the transports have them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileFunction } from 'node:vm';
import ts from 'typescript-5';
import { plainRecordOf } from './capabilities.mjs';

const README = 'README.md';
const TABLE = 'test/contracts/guarantees-table.ts';
const PLACE = /(<!-- guarantees:begin -->\n)[\s\S]*?(<!-- guarantees:end -->)/;

/** The README with its table renewed, by path. */
export function readmeWithGuarantees(project, root) {
  const text = readFileSync(join(root, README), 'utf8').replaceAll('\r\n', '\n');
  if (!PLACE.test(text))
    throw new Error(`${README} has no place for the table of guarantees: <!-- guarantees:begin -->, <!-- guarantees:end -->`);
  return { [README]: text.replace(PLACE, (_, begin, end) => `${begin}${printed(project)}\n${end}`) };
}

/** Runs the table without a build: what it imports are records of capabilities, which are read from the sources. */
function printed(project) {
  const { outputText } = ts.transpileModule(project.file(TABLE).text, {
    fileName: TABLE,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const exports = {};
  compileFunction(outputText, ['exports', 'require'], { filename: TABLE })(exports, (name) => recordsOf(project, name));
  return exports.guaranteesTable();
}

function recordsOf(project, name) {
  const own = project.packages().find((each) => each.name === name);
  if (!own) throw new Error(`${TABLE} imports ${name}, which is none of our packages`);
  const records = [...project.exportsOf(`${own.folder}/src/index.ts`)].filter(([each]) => each.endsWith('_CAPABILITIES'));
  return Object.fromEntries(records.map(([each, record]) => [each, plainRecordOf(record)]));
}
