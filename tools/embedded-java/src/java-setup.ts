import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { findInPath } from './artifacts.js';

/** How the programs of a server are run. */
export interface JavaSetup {
  /** Of the virtual machine. */
  readonly flags: readonly string[];
  readonly classPath: string;
}

/** All jars of a folder. By name, as a class archive is of no use with another order, and a wildcard takes them as the folder happens to list them. */
export function classPathOf(library: string): string {
  const jars = readdirSync(library).filter((name) => name.endsWith('.jar'));
  return jars
    .sort()
    .map((jar) => join(library, jar))
    .join(delimiter);
}

/** Another one for another Java, other flags or other jars. */
export function fingerprintOf({ flags, classPath }: JavaSetup): string {
  const everything = JSON.stringify([javaInPath(), flags, classPath]);
  return createHash('sha256').update(everything).digest('hex').slice(0, 16);
}

/** Which Java it is, without a start of it: where it is, since when, and what its release says of itself. */
function javaInPath(): readonly unknown[] {
  const found = findInPath('java');
  if (found === undefined) return [];
  const java = realpathSync(found);
  return [java, statSync(java).mtimeMs, releaseOf(dirname(dirname(java)))];
}

function releaseOf(home: string): string {
  try {
    return readFileSync(join(home, 'release'), 'utf8');
  } catch {
    return '';
  }
}
