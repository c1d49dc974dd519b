// `npm run docs`: writes docs/reference, the capabilities in the READMEs of the transports, and the guarantees in the README, from the
// sources. `--check` only looks whether they are equal; `--folder=<path>` is another place for the reference, without the API of the packages.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ensureInstalled, root } from './ensure-installed.mjs';

ensureInstalled();
const [{ Project }, { apiPages }, { errorsPage }, { eventsPage }, { optionsPage }, { readmesWithCapabilities }, { readmeWithGuarantees }] =
  await Promise.all(
    ['project', 'api', 'errors', 'events', 'options', 'capabilities', 'guarantees'].map((name) => import(`./docs/${name}.mjs`)),
  );

const args = process.argv.slice(2);
const elsewhere = args.find((arg) => arg.startsWith('--folder='))?.slice('--folder='.length);
const folder = elsewhere ?? 'docs/reference';
const project = new Project(root);
/** It asks the compiler, which takes some seconds. */
const api = elsewhere === undefined ? apiPages(project, root) : {};
const reference = { 'errors.md': errorsPage(project), 'events.md': eventsPage(project), 'options.md': optionsPage(project) };
/** By path, relative to the repository or absolute. */
const pages = {
  ...Object.fromEntries(Object.entries(reference).map(([name, text]) => [join(folder, name), text])),
  ...Object.fromEntries(Object.entries(api).map(([name, text]) => [join(folder, 'api', name), text])),
  ...readmesWithCapabilities(project, root),
  ...readmeWithGuarantees(project, root),
};

if (args.includes('--check')) check();
else write();

function check() {
  const stale = Object.entries(pages).filter(([path, text]) => read(path) !== text);
  for (const [path] of stale) console.error(`${path} is not what the sources say: run npm run docs`);
  process.exitCode = stale.length > 0 ? 1 : 0;
}

function write() {
  for (const [path, text] of Object.entries(pages)) {
    if (read(path) === text) continue;
    mkdirSync(dirname(resolve(root, path)), { recursive: true });
    writeFileSync(resolve(root, path), text);
    console.log(`wrote ${path}`);
  }
}

function read(path) {
  const file = resolve(root, path);
  return existsSync(file) ? readFileSync(file, 'utf8').replaceAll('\r\n', '\n') : undefined;
}
