// events.md: the event table of core, with the fields of each event.
import ts from 'typescript-5';
import { cell, code, page, paragraphs, table } from './markdown.mjs';
import { docOf, pathOf } from './project.mjs';

const TABLE = 'packages/core/src/monitoring/event-table.ts';

export function eventsPage(project) {
  const events = project.lookup(TABLE, 'HoldfastEvents');
  const intro = `${docOf(events)} Listen with \`subscribe(name, listener)\`, or on the channel \`holdfast:<name>\` of \`node:diagnostics_channel\`.`;
  return page('Events', TABLE, paragraphs(intro, ...events.members.map((event) => eventText(project, event))));
}

function eventText(project, event) {
  const name = event.name.text;
  const rows = fieldsOf(project, event.type).map(({ name: field, type, doc, isOptional }) => [
    `\`${field}${isOptional ? '?' : ''}\``,
    code(type),
    cell(doc),
  ]);
  return paragraphs(`## ${name}`, docOf(event), table(['Field', 'Type', ''], rows));
}

/** The fields of a payload, in the order in which they are written. A field given twice keeps its place and has the later meaning. */
function fieldsOf(project, type) {
  const fields = new Map(partsOf(project, type).map((field) => [field.name, field]));
  return [...fields.values()];
}

function partsOf(project, type) {
  if (ts.isParenthesizedTypeNode(type)) return partsOf(project, type.type);
  if (ts.isIntersectionTypeNode(type)) return type.types.flatMap((part) => partsOf(project, part));
  if (ts.isTypeLiteralNode(type)) return type.members.map(fieldOf);
  if (ts.isTypeReferenceNode(type)) {
    const name = type.typeName.getText();
    if (name === 'Partial') return partsOf(project, type.typeArguments[0]).map((field) => ({ ...field, isOptional: true }));
    const target = project.lookup(pathOf(type), name);
    if (target && ts.isInterfaceDeclaration(target)) return [...inherited(project, target), ...target.members.map(fieldOf)];
  }
  throw new Error(`${pathOf(type)}: cannot tell the fields of ${type.getText()}`);
}

function inherited(project, { heritageClauses = [] }) {
  const bases = heritageClauses.flatMap((clause) =>
    clause.types.map(({ expression }) => project.lookup(pathOf(expression), expression.getText())),
  );
  return bases.flatMap((base) => [...inherited(project, base), ...base.members.map(fieldOf)]);
}

function fieldOf(member) {
  return { name: member.name.getText(), type: member.type.getText(), doc: docOf(member), isOptional: member.questionToken !== undefined };
}
