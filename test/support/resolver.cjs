// Where the modules of a test are: the sources of our packages, not what was built of them. Jest keeps what this answers, unlike what its `moduleNameMapper` does,
// which it asks anew in each file, and which fails with an error for each place where a module is not.
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..', '..');
const INSTALLED = /[\\/]node_modules[\\/]/;
const TRANSPORT = /^@holdfast\/transport-([^/]+)(?:\/(.+))?$/;
const PACKAGE = /^@holdfast\/([^/]+)(?:\/(.+))?$/;

/** With the oldest pg that it works with. */
const typeorm03 = { typeorm: 'node_modules/typeorm-03', pg: 'node_modules/pg-811' };
const others = process.env.HOLDFAST_TEST_TYPEORM === '0.3' ? typeorm03 : {};

module.exports = function resolve(name, options) {
  return sourceOf(name, options.basedir) ?? options.defaultResolver(elsewhere(name), options);
};

/** `./x.js` in TypeScript means `./x.ts`; installed packages have the .js file, and so do those of ours that are written in it. */
function sourceOf(name, directory) {
  if (name === '@holdfast-internal/test-support') return join(__dirname, 'index.ts');
  if (name.startsWith('.')) {
    const path = name.endsWith('.js') && !INSTALLED.test(directory) ? join(directory, `${name.slice(0, -3)}.ts`) : undefined;
    return path !== undefined && existsSync(path) ? path : undefined;
  }
  const [, transport, ofTransport] = TRANSPORT.exec(name) ?? [];
  if (transport !== undefined) return indexOf(join('transports', transport), ofTransport);
  const [, ours, part] = PACKAGE.exec(name) ?? [];
  return ours === undefined ? undefined : indexOf(ours, part);
}

function indexOf(directory, part = '') {
  return join(root, 'packages', directory, 'src', part, 'index.ts');
}

function elsewhere(name) {
  const [first, ...rest] = name.split('/');
  return first in others ? [root, others[first], ...rest].join('/') : name;
}
