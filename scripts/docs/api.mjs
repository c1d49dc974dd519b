// docs/reference/api: what each package exports, as its users' compiler sees it. A change of the public API is a change of these pages.
import { join, posix } from 'node:path';
import ts from 'typescript-5';
import { page, paragraphs } from './markdown.mjs';

/** One page for each package, by the name of its file. */
export function apiPages(project, root) {
  const packages = project.packages().map((own) => ({ ...own, entries: entriesOf(own) }));
  const declarations = declarationsOf(packages, root);
  const program = programOf(declarations);
  return Object.fromEntries(packages.map((own) => [`${own.name.split('/')[1]}.md`, pageOf(own, program)]));
}

/** What can be imported from a package: how it is called, and where its source is. */
function entriesOf({ name, folder, exports }) {
  return Object.entries(exports)
    .filter(([, target]) => target.types !== undefined)
    .map(([path, { types }]) => ({
      specifier: posix.join(name, path),
      source: posix.join(folder, types.replace('./dist/', 'src/').replace(/\.d\.ts$/, '.ts')),
    }));
}

/** Declaration files of all packages, from the sources as they are: path → text. Types are inferred, not checked; that is the build's task. */
function declarationsOf(packages, root) {
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config, ts.sys, root);
  const entries = packages.flatMap((own) => own.entries);
  const paths = Object.fromEntries(entries.map(({ specifier, source }) => [specifier, [join(root, source)]]));
  const program = ts.createProgram(
    entries.map(({ source }) => join(root, source)),
    { ...options, paths, noCheck: true, emitDeclarationOnly: true, sourceMap: false, removeComments: true, outDir: undefined },
  );
  const texts = new Map();
  program.emit(undefined, (path, text) => texts.set(posix.relative(root, path), text));
  return texts;
}

/** The declarations as a program of their own, in which nothing else has to be found. */
function programOf(texts) {
  const host = {
    fileExists: (path) => texts.has(path.slice(1)),
    readFile: (path) => texts.get(path.slice(1)),
    getSourceFile: (path, target) => {
      const text = texts.get(path.slice(1));
      return text === undefined ? undefined : ts.createSourceFile(path, text, target, true);
    },
    getDefaultLibFileName: () => '/lib.d.ts',
    getCurrentDirectory: () => '/',
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => '\n',
    writeFile: () => undefined,
    directoryExists: () => true,
  };
  const options = { noLib: true, types: [], module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext };
  return ts.createProgram(
    [...texts.keys()].map((path) => `/${path}`),
    options,
    host,
  );
}

function pageOf({ name, entries }, program) {
  const sections = entries.map(({ specifier, source }) =>
    paragraphs(`## ${specifier}`, `\`\`\`ts\n${exportsOf(program, source).join('\n\n')}\n\`\`\``),
  );
  const intro = 'What can be imported, without the comments. What is not here is internal, and may change at any time.';
  return page(`API of ${name}`, 'the declarations of the package', paragraphs(intro, ...sections));
}

/** Declarations of an entry by name; what it hands on of another package is one line. */
function exportsOf(program, source) {
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(`/${source.replace(/\.ts$/, '.d.ts')}`);
  const handedOn = file.statements
    .filter((statement) => ts.isExportDeclaration(statement) && !statement.moduleSpecifier?.text.startsWith('.'))
    .map((statement) => statement.getText());
  const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(file));
  const own = symbols
    .map((symbol) => [symbol.name, symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return [...handedOn, ...own.flatMap(([, { declarations = [] }]) => declarations.map(textOf))];
}

const printer = ts.createPrinter({ removeComments: true });

/** The declaration without what only its own package sees. */
function textOf(node) {
  const statement = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  const { transformed } = ts.transform(statement, [
    (context) => (top) => {
      const visit = (each) => (isPrivate(each) ? undefined : ts.visitEachChild(each, visit, context));
      return ts.visitEachChild(top, visit, context);
    },
  ]);
  return printer.printNode(ts.EmitHint.Unspecified, transformed[0], node.getSourceFile());
}

function isPrivate(node) {
  if (!ts.isClassElement(node)) return false;
  return (
    (node.name !== undefined && ts.isPrivateIdentifier(node.name)) || (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) !== 0
  );
}
