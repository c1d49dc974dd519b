// Makes a fresh clone runnable: checks Node, installs the dependencies when they are missing or not those of the lockfile.
// Imported by the other scripts before they import anything else; nothing here needs a dependency.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export function ensureInstalled() {
  checkNode();
  if (isInstalled()) {
    linkOwn();
    return;
  }
  console.log('Installing dependencies (npm ci) …');
  const command = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  // Without warnings: nobody who runs this can do anything about the engines and deprecations of dependencies.
  const { status, error } = spawnSync(
    command,
    ['ci', '--ignore-scripts', '--no-fund', '--no-audit', '--prefer-offline', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    },
  );
  if (status !== 0) {
    console.error(
      `npm ci failed${error ? `: ${error.message}` : ''}. Holdfast needs its npm dependencies; check the registry of this machine.`,
    );
    process.exit(1);
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(`Holdfast needs Node.js 20.19 or newer (Nest 12 is loaded with require(esm)); this is ${process.versions.node}.`);
  process.exit(1);
}

/** Compares versions, not times: switching branches back and forth installs nothing. */
function isInstalled() {
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/') || entry.optional || entry.devOptional || entry.peer) return true;
    return installed[path]?.version === entry.version;
  });
}

/** A package of ours that came with a pull needs a link, and no installation. */
function linkOwn() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  for (const [path, { link, resolved }] of Object.entries(packages)) {
    if (!link || existsSync(join(root, path))) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    // A link to where the package was before is in the way. Not rmSync: that of Node 24 leaves it there (nodejs/node#61020).
    if (lstatSync(join(root, path), { throwIfNoEntry: false })) unlinkSync(join(root, path));
    symlinkSync(join(root, resolved), join(root, path), 'junction');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) ensureInstalled();
