// The sources as syntax trees, and what a name in them stands for: across files, re-exports and our own packages.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript-5';

export class Project {
  #root;
  #files = new Map();

  constructor(root) {
    this.#root = root;
  }

  /** Folders of the packages we publish, core first, the others by name. */
  packages() {
    const folders = ['packages', 'packages/transports'].flatMap((parent) =>
      readdirSync(join(this.#root, parent)).map((name) => `${parent}/${name}`),
    );
    return folders
      .filter((folder) => existsSync(join(this.#root, folder, 'src/index.ts')))
      .map((folder) => ({ folder, ...JSON.parse(readFileSync(join(this.#root, folder, 'package.json'), 'utf8')) }))
      .filter((manifest) => !manifest.private)
      .sort((a, b) => Number(b.folder === 'packages/core') - Number(a.folder === 'packages/core') || (a.name < b.name ? -1 : 1));
  }

  /** The syntax tree of a file; `path` is relative to the repository, with `/`. */
  file(path) {
    const known = this.#files.get(path);
    if (known) return known;
    const parsed = ts.createSourceFile(path, readFileSync(join(this.#root, path), 'utf8'), ts.ScriptTarget.ES2022, true);
    this.#files.set(path, parsed);
    return parsed;
  }

  /** What a file exports: name → declaration. In the order in which it is written; re-exports of another package are left out. */
  exportsOf(path) {
    const found = new Map();
    for (const statement of this.file(path).statements) {
      if (ts.isExportDeclaration(statement)) this.#addReExports(path, statement, found);
      else if (isExported(statement)) for (const [name, node] of declared(statement)) found.set(name, node);
    }
    return found;
  }

  /** The declaration a name in a file stands for; undefined when it is none of ours. */
  lookup(path, name) {
    for (const statement of this.file(path).statements) {
      for (const [own, node] of declared(statement)) if (own === name) return node;
      const imported = importedName(statement, name);
      if (imported === undefined) continue;
      const target = this.#resolve(path, statement.moduleSpecifier.text);
      return target && this.exportsOf(target).get(imported);
    }
    return undefined;
  }

  #addReExports(path, { moduleSpecifier, exportClause }, found) {
    if (moduleSpecifier && !moduleSpecifier.text.startsWith('.')) return;
    const target = moduleSpecifier ? this.#resolve(path, moduleSpecifier.text) : path;
    if (!exportClause) for (const [name, node] of this.exportsOf(target)) found.set(name, node);
    else if (ts.isNamedExports(exportClause)) {
      const all = moduleSpecifier ? this.exportsOf(target) : undefined;
      for (const { name, propertyName } of exportClause.elements) {
        const local = (propertyName ?? name).text;
        const node = all ? all.get(local) : this.lookup(path, local);
        if (node) found.set(name.text, node);
      }
    }
  }

  #resolve(path, specifier) {
    const own = /^@holdfast\/(?:(transport)-)?(.+)$/.exec(specifier);
    if (own) return posix.join('packages', own[1] ? 'transports' : '', own[2], 'src/index.ts');
    return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts') : undefined;
  }
}

/** The file a node stands in. */
export function pathOf(node) {
  return node.getSourceFile().fileName;
}

/** The doc comment of a node as one paragraph of text, without tags; empty when there is none. */
export function docOf(node) {
  const doc = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc).at(-1);
  if (!doc) return besideBrace(node);
  const text = paragraph(doc.comment);
  const throws = (doc.tags ?? [])
    .filter((tag) => tag.tagName.text === 'throws')
    .map((tag) => `Throws ${paragraph(tag.comment).replace(/\.$/, '')}.`);
  return [text, ...throws].filter(Boolean).join(' ');
}

/** A comment on the line of the brace before it belongs to the brace, for the parser. */
function besideBrace(node) {
  const { text } = node.getSourceFile();
  const [range] = ts.getTrailingCommentRanges(text, node.pos) ?? [];
  const comment = range && /^\/\*\*(.*)\*\/$/s.exec(text.slice(range.pos, range.end));
  return comment ? comment[1].replaceAll(/\s+/g, ' ').trim() : '';
}

function paragraph(comment) {
  return (ts.getTextOfJSDocComment(comment) ?? '').replaceAll(/\s+/g, ' ').trim();
}

function isExported(statement) {
  return ts.canHaveModifiers(statement) && (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false);
}

function* declared(statement) {
  if (ts.isVariableStatement(statement)) for (const node of statement.declarationList.declarations) yield [node.name.getText(), node];
  else if ('name' in statement && statement.name && ts.isIdentifier(statement.name)) yield [statement.name.text, statement];
}

function importedName(statement, name) {
  if (!ts.isImportDeclaration(statement)) return undefined;
  const bindings = statement.importClause?.namedBindings;
  if (!bindings || !ts.isNamedImports(bindings)) return undefined;
  const element = bindings.elements.find((each) => each.name.text === name);
  return element && (element.propertyName ?? element.name).text;
}
