import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import ts from 'typescript-5';

/** One parsed TypeScript file; `path` is relative to the repository, with `/`. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly ast: ts.SourceFile;
  /** A test or a suite of tests of our own: sizes are more generous, `any` and imports of other packages are allowed. */
  readonly isTest: boolean;
  /** Published code: `packages/<package>/src`, tests excluded. */
  readonly isPublished: boolean;
}

/** What a rule found. */
export interface Violation {
  readonly rule: string;
  readonly path: string;
  readonly line: number;
  /** What is wrong and what to write instead. */
  readonly message: string;
}

/** A rule looks at one file at a time. */
export interface Rule {
  readonly name: string;
  check(source: Source): Omit<Violation, 'rule' | 'path'>[];
}

export const repository = join(__dirname, '..', '..');

const FOLDERS = ['packages', 'tools', 'test', 'samples', 'bench'];
const SKIPPED = /(^|\/)(node_modules|dist|fixtures)\/|^test\/api\//;

export function parse(path: string, text: string): Source {
  const ast = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const isTest = path.endsWith('.spec.ts') || path.startsWith('test/');
  const isPublished = /^packages\/.+\/src\//.test(path) && !isTest;
  return { path, text, lines: text.split('\n'), ast, isTest, isPublished };
}

export function repositorySources(): Source[] {
  return FOLDERS.flatMap((folder) => listFiles(folder))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !SKIPPED.test(path))
    .map((path) => parse(path, readFileSync(join(repository, path), 'utf8')));
}

/** Runs the rules, leaving out what a comment excuses: `// tidy: <rule>: <reason>` on the line or above it. */
export function violationsOf(source: Source, rules: readonly Rule[]): Violation[] {
  return rules.flatMap((rule) =>
    rule
      .check(source)
      .filter(({ line }) => !isExcused(source, rule.name, line))
      .map((violation) => ({ rule: rule.name, path: source.path, ...violation })),
  );
}

export function lineOf(source: Source, node: ts.Node): number {
  return source.ast.getLineAndCharacterOfPosition(node.getStart(source.ast)).line + 1;
}

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

export function fileName(source: Source): string {
  return basename(source.path);
}

function isExcused(source: Source, rule: string, line: number): boolean {
  const excuse = new RegExp(`tidy: ${rule}: \\S.{9,}`);
  return [source.lines[line - 1], source.lines[line - 2]].some((text) => text !== undefined && excuse.test(text));
}

function listFiles(folder: string): string[] {
  try {
    return (readdirSync(join(repository, folder), { recursive: true }) as string[])
      .map((name) => `${folder}/${name.split(sep).join('/')}`)
      .filter((path) => !path.includes('/node_modules/'));
  } catch {
    return [];
  }
}
