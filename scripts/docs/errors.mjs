// errors.md: the catalogue of core, one area after the other.
import ts from 'typescript-5';
import { paragraphs, page, table } from './markdown.mjs';
import { docOf } from './project.mjs';

const CATALOGUE = 'packages/core/src/errors/catalogue.ts';
const BASE = 'packages/core/src/errors/holdfast-error.ts';

export function errorsPage(project) {
  const areas = areasOf(project);
  const intro = `Every error of Holdfast has a code that does not change; the text of its message may. Tell them apart by \`code\`, with \`isHoldfastError(error, 'HF_…')\`:
\`instanceof\` fails when two copies of the package are installed. Words in braces are filled in from the error's \`details\`.`;
  return page('Errors', 'packages/core/src/errors', paragraphs(intro, categories(project), ...areas.map(areaText)));
}

/** The areas in the order in which the catalogue spreads them. */
function areasOf(project) {
  const catalogue = project.lookup(CATALOGUE, 'ERRORS');
  return literalOf(catalogue.initializer).properties.map((property) => {
    if (!ts.isSpreadAssignment(property)) throw new Error(`${CATALOGUE}: the catalogue is not made of areas only`);
    const area = project.lookup(CATALOGUE, property.expression.getText());
    return { doc: docOf(area.parent.parent), rows: literalOf(area.initializer).properties.map(rowOf) };
  });
}

function rowOf(property) {
  const fields = literalOf(property.initializer).properties.map((field) => [field.name.getText(), textOf(field.initializer)]);
  return { code: property.name.getText(), ...Object.fromEntries(fields) };
}

function areaText({ doc, rows }) {
  const entries = rows.map(({ code, category, sentence, fix }) =>
    paragraphs(`### ${code}`, `${withoutEscapes(sentence)}`, `*${category}* · **What to do:** ${withoutEscapes(fix)}`),
  );
  const area = doc.replace(/^Errors of /, '').replace(/\.$/, '');
  return paragraphs(`## ${area.charAt(0).toUpperCase()}${area.slice(1)}`, ...entries);
}

/** The list in the doc comment of ErrorCategory. */
function categories(project) {
  const doc = docOf(project.lookup(BASE, 'ErrorCategory'));
  const [intro, ...items] = doc.split(/ - (?=`)/);
  const rows = items.map((item) => /^(`\w+`): (.*)$/.exec(item)).map(([, name, meaning]) => [name, meaning]);
  return paragraphs('## Categories', intro, table(['Category', 'What it means'], rows));
}

/** `{{` and `}}` of the catalogue stand for braces. */
function withoutEscapes(text) {
  return text.replaceAll(/\{\{|\}\}/g, ([brace]) => brace).replaceAll('<', '&lt;');
}

function literalOf(node) {
  const inner = ts.isAsExpression(node) || ts.isSatisfiesExpression(node) ? literalOf(node.expression) : node;
  if (!ts.isObjectLiteralExpression(inner))
    throw new Error(`${node.getSourceFile().fileName}: not an object literal: ${node.getText().slice(0, 60)}`);
  return inner;
}

function textOf(node) {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isBinaryExpression(node)) return textOf(node.left) + textOf(node.right);
  throw new Error(`${node.getSourceFile().fileName}: not a text: ${node.getText().slice(0, 60)}`);
}
