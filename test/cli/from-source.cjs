// Preloaded into the processes these tests start: runs our TypeScript sources as they are, so that no build has to be fresh. It hooks into the loader
// of .js files and leaves .ts unregistered, so that a program finds the TypeScript support of plain Node.js: none, or what the test adds.
const { createHash } = require('node:crypto');
const { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { dirname, join, resolve } = require('node:path');

const root = resolve(__dirname, '../..');
const cache = join(root, '.cache/cli');
const resolveFilename = Module._resolveFilename;
const loadJavaScript = Module._extensions['.js'];

Module._resolveFilename = function resolveSource(request, parent, ...rest) {
  return sourceOf(request, parent?.filename ?? '') ?? resolveFilename.call(this, request, parent, ...rest);
};

Module._extensions['.js'] = function loadSource(module, file) {
  if (!file.endsWith('.ts')) return loadJavaScript(module, file);
  module._compile(compile(file), file);
};

function sourceOf(request, importer) {
  if (!importer.startsWith(root)) return undefined;
  const [, transport, name = transport, entry = ''] = /^@holdfast\/(?:transport-([^/]+)|([^/]+))(\/.+)?$/.exec(request) ?? [];
  if (name !== undefined) return join(root, 'packages', transport === undefined ? '' : 'transports', name, 'src', entry, 'index.ts');
  if (request === 'typeorm' && process.env.HOLDFAST_TEST_TYPEORM === '0.3') return require.resolve('typeorm-03');
  if (!request.startsWith('.') || !importer.endsWith('.ts')) return undefined;
  const source = resolve(dirname(importer), request.replace(/\.js$/, '.ts'));
  return existsSync(source) ? source : undefined;
}

/** Compiled once for every content: these tests start dozens of processes. */
function compile(file) {
  const source = readFileSync(file, 'utf8');
  const cached = join(cache, createHash('sha256').update(`${file}\n${source}`).digest('hex').slice(0, 32));
  if (existsSync(cached)) return readFileSync(cached, 'utf8');
  const { code } = require('@swc/core').transformSync(source, {
    filename: file,
    jsc: {
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
      target: 'es2022',
    },
    module: { type: 'commonjs', ignoreDynamic: true },
    sourceMaps: 'inline',
  });
  mkdirSync(cache, { recursive: true });
  // Others may be reading it: it appears whole or not at all.
  writeFileSync(`${cached}.${process.pid}`, code);
  renameSync(`${cached}.${process.pid}`, cached);
  return code;
}

module.exports = { compile };
