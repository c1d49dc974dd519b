// `npm run docs`: writes docs/reference from the sources. `--check` only looks whether they are equal; `--folder=<path>` is another place for them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { ensureInstalled, root } from './ensure-installed.mjs';

ensureInstalled();
const [{ Project }, { errorsPage }, { eventsPage }, { optionsPage }] = await Promise.all(
  ['project', 'errors', 'events', 'options'].map((name) => import(`./docs/${name}.mjs`)),
);

const args = process.argv.slice(2);
const folder = resolve(root, args.find((arg) => arg.startsWith('--folder='))?.slice('--folder='.length) ?? 'docs/reference');
const project = new Project(root);
const pages = { 'errors.md': errorsPage(project), 'events.md': eventsPage(project), 'options.md': optionsPage(project) };

if (args.includes('--check')) check();
else write();

function check() {
  const stale = Object.entries(pages).filter(([name, text]) => read(name) !== text);
  for (const [name] of stale) console.error(`${relative(root, join(folder, name))} is not what the sources say: run npm run docs`);
  process.exitCode = stale.length > 0 ? 1 : 0;
}

function write() {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(pages)) {
    if (read(name) === text) continue;
    writeFileSync(join(folder, name), text);
    console.log(`wrote ${relative(root, join(folder, name))}`);
  }
}

function read(name) {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, 'utf8').replaceAll('\r\n', '\n') : undefined;
}
