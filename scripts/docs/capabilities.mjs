// What a transport keeps, as a table in its README: printed from the record its tests are driven by.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript-5';
import { cell, table } from './markdown.mjs';
import { docOf, pathOf } from './project.mjs';

const PORT = 'packages/core/src/transport/transport.port.ts';
const PLACE = /(<!-- capabilities -->\n)[\s\S]*?(<!-- \/capabilities -->)/;

/** READMEs with their table renewed, by path; those without a place for one are left out. */
export function readmesWithCapabilities(project, root) {
  const readmes = project.packages().flatMap(({ folder }) => {
    const [, record] = [...project.exportsOf(`${folder}/src/index.ts`)].find(([name]) => name.endsWith('_CAPABILITIES')) ?? [];
    const path = `${folder}/README.md`;
    if (!record || !existsSync(join(root, path))) return [];
    const text = readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n');
    return PLACE.test(text) ? [[path, text.replace(PLACE, (_, begin, end) => `${begin}\n${tableOf(project, record)}\n\n${end}`)]] : [];
  });
  return Object.fromEntries(readmes);
}

/** The record as an object. */
export function plainRecordOf(record) {
  return Object.fromEntries(record.initializer.properties.map((property) => [property.name.getText(), plainValueOf(property)]));
}

function tableOf(project, record) {
  const values = plainRecordOf(record);
  const port = project.lookup(PORT, 'TransportCapabilities');
  const rows = port.members.map((member) => [`\`${member.name.getText()}\``, markOf(values[member.name.getText()]), cell(docOf(member))]);
  return table(['Capability', '', 'What it means'], rows);
}

function markOf(value) {
  if (value === true) return 'yes';
  return value === undefined || value === false ? '–' : String(value);
}

function plainValueOf({ initializer }) {
  if (initializer.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (initializer.kind === ts.SyntaxKind.FalseKeyword) return false;
  if (ts.isNumericLiteral(initializer)) return Number(initializer.text);
  if (ts.isStringLiteral(initializer)) return initializer.text;
  throw new Error(`${pathOf(initializer)}: a capability is not a plain value: ${initializer.getText()}`);
}
