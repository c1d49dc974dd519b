// options.md: everything a user may set, with type, default and doc comment.
import ts from 'typescript-5';
import { cell, code, linkTo, page, paragraphs, table } from './markdown.mjs';
import { docOf, pathOf } from './project.mjs';

/** Names of exported types that are options, by the words of the house style. */
const OPTIONS = /(Options|Policies|Args)$/;
/** What a user reads first. */
const FIRST = 'HoldfastOptions';
/** Options of ports: for who writes a store or a transport, so they come last. */
const OF_PORTS = ['AttributeOptions', 'BeginOptions', 'TimerOptions'];
/** Values a user gets from somewhere and hands over: described where they come from, not field by field. */
const HANDED_OVER = /(Factory|Schema|Class|Port|Store)$/;

export function optionsPage(project) {
  const exported = project.packages().flatMap(({ name: packageName, folder }) => {
    const types = [...project.exportsOf(`${folder}/src/index.ts`)].filter(([, node]) => isType(node));
    return types.map(([name, node]) => ({ name, node, packageName }));
  });
  const byNode = new Map(exported.map((type) => [type.node, type]));
  const options = exported.filter(({ name }) => OPTIONS.test(name)).sort((a, b) => rank(a) - rank(b));
  const sections = new Map();
  for (const type of options) add(type);
  const intro = `What can be set, and what it is when it is not. A \`Duration\` is a number of milliseconds, or a text such as '250ms', '30s', '15m', '6h', '7d'.
Wrong options are refused at start, all of them together (\`HF_CONFIG_INVALID\`).`;
  const contents = [...sections.keys()].map(linkTo).join(' · ');
  return page(
    'Options',
    'the exported option types',
    paragraphs(intro, contents, ...[...sections.values()].map((section) => sectionText(section, sections))),
  );

  /** Adds a type, and after it the exported types it speaks of. */
  function add(type) {
    if (type === undefined || sections.has(type.name)) return;
    sections.set(type.name, { ...type, shape: shapeOf(project, ts.isTypeAliasDeclaration(type.node) ? type.node.type : type.node) });
    for (const target of typesIn(project, type.node)) add(byNode.get(target));
  }
}

function rank({ name }) {
  return name === FIRST ? 0 : OF_PORTS.includes(name) ? 2 : 1;
}

function isType(node) {
  return ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node);
}

/** Types of ours that a declaration mentions, to be described too. Generic ones are helpers of the compiler. */
function typesIn(project, declaration) {
  const found = new Set();
  const visit = (node) => {
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) {
      const name = (node.typeName ?? node.expression).getText();
      const target = HANDED_OVER.test(name) ? undefined : project.lookup(pathOf(node), name);
      if (target && isType(target) && isDescribable(name, target)) found.add(target);
    }
    node.forEachChild(visit);
  };
  declaration.forEachChild(visit);
  return found;
}

function isDescribable(name, node) {
  if (OPTIONS.test(name)) return true;
  if (node.typeParameters) return false;
  return ts.isTypeAliasDeclaration(node)
    ? !ts.isFunctionTypeNode(node.type)
    : node.members.every((member) => ts.isPropertySignature(member));
}

/**
 * What a type consists of: members of its own, the types it includes, and alternatives of which one is chosen. A type with none of them is only a word
 * for another one.
 */
function shapeOf(project, node) {
  const shape = { members: [], includes: [], alternatives: [] };
  collect(node, shape);
  return shape;

  function collect(type, into) {
    if (ts.isInterfaceDeclaration(type)) {
      for (const clause of type.heritageClauses ?? []) into.includes.push(...clause.types.map(({ expression }) => expression.getText()));
      into.members.push(...type.members.filter(ts.isPropertySignature));
    } else if (ts.isParenthesizedTypeNode(type)) collect(type.type, into);
    else if (ts.isTypeLiteralNode(type)) into.members.push(...type.members.filter(ts.isPropertySignature));
    else if (ts.isIntersectionTypeNode(type)) for (const part of type.types) collect(part, into);
    else if (ts.isUnionTypeNode(type)) into.alternatives.push(...type.types.map(alternative).filter(hasContent));
    else if (ts.isConditionalTypeNode(type)) into.alternatives.push(...[type.trueType, type.falseType].map(alternative).filter(hasContent));
    else if (ts.isTupleTypeNode(type)) for (const part of type.elements) collect(ts.isNamedTupleMember(part) ? part.type : part, into);
    else if (ts.isTypeReferenceNode(type)) collectReference(type, into);
  }

  function collectReference(type, into) {
    const name = type.typeName.getText();
    if (name !== 'Partial') {
      if (project.lookup(pathOf(type), name)) into.includes.push(name);
      return;
    }
    const target = project.lookup(pathOf(type), type.typeArguments[0].getText());
    into.members.push(
      ...target.members.filter(ts.isPropertySignature).map((member) => Object.assign(Object.create(member), { isMadeOptional: true })),
    );
  }

  function alternative(type) {
    const own = { members: [], includes: [], alternatives: [] };
    collect(type, own);
    return own;
  }
}

function hasContent({ members, includes, alternatives }) {
  return members.length + includes.length + alternatives.length > 0;
}

function sectionText({ name, node, packageName, shape }, sections) {
  const text = hasContent(shape) ? shapeText(shape, sections) : `\`\`\`ts\ntype ${name} = ${node.type?.getText() ?? '{}'};\n\`\`\``;
  return paragraphs(`## ${name}`, `${docOf(node)} (${packageName})`.trim(), text);
}

function shapeText({ members, includes, alternatives }, sections) {
  const rows = members.filter((member) => member.type?.kind !== ts.SyntaxKind.UndefinedKeyword).map(rowOf);
  const links = includes.map((name) => (sections.has(name) ? linkTo(name) : `\`${name}\``));
  const included = links.length > 0 && `Everything of ${links.join(' and ')}${rows.length > 0 ? ', and' : '.'}`;
  const choices = alternatives.map((each) => shapeText(each, sections)).filter(Boolean);
  return paragraphs(
    included,
    table(['Option', 'Type', 'Default', ''], rows),
    choices.length > 0 && paragraphs('One of:', choices.join('\n\nor\n\n')),
  );
}

function rowOf(member) {
  const isOptional = member.questionToken !== undefined || member.isMadeOptional;
  const doc = docOf(member.isMadeOptional ? Object.getPrototypeOf(member) : member);
  const byDefault = isOptional ? (defaultIn(doc) ?? '–') : 'required';
  return [code(member.name.getText()), code(member.type.getText()), cell(byDefault), cell(doc)];
}

/** `default: X` or `default X` as the doc comment says it, up to the end of that thought. */
function defaultIn(doc) {
  const found = /\bdefault(?: on \w+)?:? (.+?)(?=[;:](?: |$)|\.(?: |$)|, (?:once|which|so)\b|$)/i.exec(doc)?.[1];
  return found?.replace(/^('[^']*'|\[.*\]|true|false|\d+)(?=$| )/, '`$1`');
}
