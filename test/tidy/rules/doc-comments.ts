import { posix } from 'node:path';
import ts from 'typescript-5';
import { lineOf, type Source, type Violation } from '../source.js';

type Files = ReadonlyMap<string, Source>;

/** Everything a package exports from its `index.ts` (or that of `testing`) has a doc comment. Looks at all files at once. */
export function undocumentedExports(sources: readonly Source[]): Violation[] {
  const files = new Map(sources.map((source) => [source.path, source]));
  const entries = sources.filter(({ path }) => /^packages\/(transports\/)?[^/]+\/src\/(testing\/(contracts\/)?)?index\.ts$/.test(path));
  const found = entries.flatMap((entry) => checkModule(entry, files, undefined));
  return [...new Map(found.map((violation) => [`${violation.path}:${violation.message}`, violation])).values()];
}

/** `names`: the exports that are reachable from the index, `undefined` for all of them. */
function checkModule(source: Source, files: Files, names: ReadonlySet<string> | undefined): Violation[] {
  const own = [...declarationsOf(source)].filter(([name, { isExported }]) => (names ? names.has(name) : isExported));
  const undocumented = own
    .filter(([, { nodes }]) => !nodes.some(hasDocComment))
    .map(([name, { nodes }]) => ({
      rule: 'doc-comment',
      path: source.path,
      line: lineOf(source, nodes[0] as ts.Node),
      message: `${name} is exported by the package: say in one sentence what it does and for whom`,
    }));
  return [...undocumented, ...checkReExports(source, files, names)];
}

function checkReExports(source: Source, files: Files, names: ReadonlySet<string> | undefined): Violation[] {
  return source.ast.statements.filter(ts.isExportDeclaration).flatMap((statement) => {
    const target = statement.moduleSpecifier ? resolve(source, statement.moduleSpecifier, files) : source;
    if (!target) return [];
    const clause = statement.exportClause;
    if (!clause) return target === source ? [] : checkModule(target, files, names);
    if (!ts.isNamedExports(clause)) return [];
    const wanted = clause.elements
      .filter((element) => !names || names.has(element.name.text))
      .map((element) => (element.propertyName ?? element.name).text);
    if (wanted.length === 0 || (target === source && names !== undefined)) return [];
    return checkModule(target, files, new Set(wanted));
  });
}

function resolve(source: Source, specifier: ts.Expression, files: Files): Source | undefined {
  if (!ts.isStringLiteral(specifier) || !specifier.text.startsWith('.')) return undefined;
  return files.get(posix.join(posix.dirname(source.path), specifier.text).replace(/\.js$/, '.ts'));
}

interface Declaration {
  readonly nodes: ts.Node[];
  readonly isExported: boolean;
}

function declarationsOf(source: Source): Map<string, Declaration> {
  const found = new Map<string, Declaration>();
  for (const statement of source.ast.statements) {
    const isExported =
      ts.canHaveModifiers(statement) && (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false);
    for (const name of namesOf(statement)) {
      const before = found.get(name);
      found.set(name, { nodes: [...(before?.nodes ?? []), statement], isExported: isExported || (before?.isExported ?? false) });
    }
  }
  return found;
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.getText());
  if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEnumDeclaration(statement)
  ) {
    return statement.name ? [statement.name.text] : [];
  }
  return [];
}

function hasDocComment(node: ts.Node): boolean {
  return ts.getJSDocCommentsAndTags(node).some((comment) => ts.isJSDoc(comment) && comment.getText().length > '/** */'.length);
}
