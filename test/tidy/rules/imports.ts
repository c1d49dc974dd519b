import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript-5';
import { lineOf, type Rule, repository, type Source, walk } from '../source.js';

/** Who may import whom among our packages (tests excluded). Everything not listed: `@holdfast/core` only. */
const EXCEPTIONS: readonly { readonly from: RegExp; readonly to: readonly string[] }[] = [
  { from: /^packages\/core\/src\//, to: [] },
  { from: /^packages\/nest\/src\/testing\//, to: ['@holdfast/core', '@holdfast/transport-in-memory'] },
];
const CORE_KNOWS_NOT = /^(@nestjs\/|typeorm|pg$|mysql2|amqplib|kafkajs|rocketmq)/;

interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** Imports point one way: to core, through what a package exports. */
export const importArrows: Rule = {
  name: 'import-arrow',
  check(source) {
    const home = packageOf(source.path);
    if (!home) return [];
    return importsOf(source).flatMap((found) => {
      const message = found.specifier.startsWith('.') ? leavesHome(source, home, found) : crosses(source, found);
      return message ? [{ line: found.line, message }] : [];
    });
  },
};

/** What a package imports, its package.json declares: an undeclared one works here only because of the workspace. */
export const declaredDependencies: Rule = {
  name: 'declared-dependency',
  check(source) {
    const home = packageOf(source.path);
    if (!home || !source.isPublished) return [];
    const declared = declaredBy(home);
    return importsOf(source).flatMap(({ specifier, line }) => {
      if (specifier.startsWith('.') || isBuiltin(specifier)) return [];
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      return declared.has(name)
        ? []
        : [{ line, message: `${name} is not in ${home}/package.json: declare it as a dependency or a peer, or do without` }];
    });
  },
};

function packageOf(path: string): string | undefined {
  return /^(packages\/transports\/[^/]+|packages\/[^/]+|tools\/[^/]+)\/src\//.exec(path)?.[1];
}

function leavesHome(source: Source, home: string, { specifier }: Import): string | undefined {
  const target = posix.join(dirname(source.path), specifier);
  if (target.startsWith(`${home}/`)) return undefined;
  if (source.isTest && target.startsWith('test/')) return undefined;
  return `${specifier} leaves the package: import the other package by its name`;
}

function crosses(source: Source, { specifier }: Import): string | undefined {
  if (/^@holdfast\/[^/]+\/(src|dist)(\/|$)/.test(specifier))
    return `${specifier} is a file inside a package: import what the package exports`;
  if (source.isTest) return undefined;
  if (source.path.startsWith('packages/core/') && CORE_KNOWS_NOT.test(specifier)) {
    return `core knows no ${specifier}: put it behind a port and into an adapter package`;
  }
  if (!specifier.startsWith('@holdfast/')) return undefined;
  const allowed = EXCEPTIONS.find(({ from }) => from.test(source.path))?.to ?? ['@holdfast/core'];
  return allowed.includes(specifier)
    ? undefined
    : `${specifier} may not be imported here: only ${allowed.join(', ') || 'nothing of Holdfast'}`;
}

export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  walk(source.ast, (node) => {
    let specifier: ts.Node | undefined;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) specifier = node.moduleSpecifier;
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) specifier = node.argument.literal;
    else if (
      ts.isCallExpression(node) &&
      (node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === 'require')
    ) {
      specifier = node.arguments[0];
    }
    if (specifier && ts.isStringLiteral(specifier)) found.push({ specifier: specifier.text, line: lineOf(source, node) });
  });
  return found;
}

function declaredBy(home: string): Set<string> {
  const file = join(repository, home, 'package.json');
  if (!existsSync(file)) return new Set();
  const { name, dependencies, peerDependencies, optionalDependencies } = JSON.parse(readFileSync(file, 'utf8'));
  return new Set([name, ...Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies })]);
}
