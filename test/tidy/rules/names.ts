import ts from 'typescript-5';
import { fileName, lineOf, type Rule, type Source, walk } from '../source.js';

interface BannedWord {
  readonly word: string;
  readonly say: string;
  /** Only names a package exports at top level: inside, the word may belong to Node, the broker or the database. */
  readonly exportedOnly?: boolean;
  /** Paths in which the word is right. */
  readonly except?: RegExp;
}

const ADAPTERS = /^packages\/(transports|typeorm)\//;

// The checkable part of the house style's table of names.
const BANNED: readonly BannedWord[] = [
  { word: 'packet', say: 'message or envelope' },
  { word: 'poison', say: 'dead letter (exhausted or refused) or invalid message (unreadable)' },
  { word: 'processor', say: 'handler' },
  { word: 'callback', say: 'handler' },
  { word: 'workflow', say: 'saga' },
  { word: 'dedup', say: 'inbox or idempotency key' },
  { word: 'deduplication', say: 'inbox or idempotency key', except: ADAPTERS },
  { word: 'job', say: 'command' },
  { word: 'listener', say: 'subscription', exportedOnly: true, except: ADAPTERS },
  { word: 'topic', say: 'destination', exportedOnly: true, except: ADAPTERS },
  { word: 'exchange', say: 'destination', exportedOnly: true, except: ADAPTERS },
  { word: 'queue', say: 'destination, outbox or lane', exportedOnly: true, except: ADAPTERS },
  // Node's diagnostics channels are in `monitoring`.
  { word: 'channel', say: 'destination', exportedOnly: true, except: /^packages\/(transports|typeorm|core\/src\/monitoring)\// },
];

/** One word for one thing. */
export const bannedWords: Rule = {
  name: 'banned-word',
  check(source) {
    if (!source.isPublished) return [];
    return declaredNames(source).flatMap(({ name, node, isExported }) =>
      BANNED.filter(
        ({ word, exportedOnly, except }) => hasWord(name, word) && (isExported || !exportedOnly) && !except?.test(source.path),
      ).map(({ word, say }) => ({ line: lineOf(source, node), message: `${name}: not "${word}", say ${say}` })),
    );
  },
};

export const interfacePrefix: Rule = {
  name: 'interface-prefix',
  check(source) {
    return source.ast.statements
      .filter(ts.isInterfaceDeclaration)
      .filter(({ name }) => /^I[A-Z][a-z]/.test(name.text))
      .map(({ name }) => ({ line: lineOf(source, name), message: `${name.text}: no I prefix, say ${name.text.slice(1)}` }));
  },
};

export const fileNames: Rule = {
  name: 'file-name',
  check(source) {
    if (/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*\.ts$/.test(fileName(source))) return [];
    return [{ line: 1, message: `${fileName(source)}: name it kebab-case.role.ts` }];
  },
};

interface DeclaredName {
  readonly name: string;
  readonly node: ts.Node;
  readonly isExported: boolean;
}

function declaredNames(source: Source): DeclaredName[] {
  const found: DeclaredName[] = [];
  walk(source.ast, (node) => {
    const name = ts.isVariableDeclaration(node) || isNamedDeclaration(node) ? node.name : undefined;
    if (name && (ts.isIdentifier(name) || ts.isPrivateIdentifier(name))) {
      found.push({ name: name.text, node: name, isExported: isTopLevelExport(node) });
    }
  });
  return found;
}

function isNamedDeclaration(node: ts.Node): node is ts.Node & { readonly name?: ts.Node } {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isEnumDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isMethodSignature(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isPropertySignature(node) ||
    ts.isParameter(node)
  );
}

function isTopLevelExport(node: ts.Node): boolean {
  const statement = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  return ts.canHaveModifiers(statement) && (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false);
}

/** Words of `deadLetterQueue`: dead, letter, queue; a plural counts. */
function hasWord(name: string, word: string): boolean {
  const words = name
    .split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_$#]+/)
    .map((part) => part.toLowerCase())
    .filter(Boolean);
  return words.some((part) => part === word || part === `${word}s`);
}
