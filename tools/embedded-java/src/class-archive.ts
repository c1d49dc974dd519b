import { execFile } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { JavaSetup } from './java-setup.js';

/** Its size is a part of its name: a virtual machine that is given half of one does not refuse it, it crashes. */
const NAME = /^classes-(\d+)\.jsa$/;
/** A look at all of it takes a third of a second on an idle machine. */
const CHECK_MS = 60_000;
const SILENCE = ['-Xlog:cds*=off'];

/** Flags with which a program writes what it has loaded into an archive of this folder, when it is ended in good order (`keepArchive`). */
export function recordingFlags(folder: string): string[] {
  return [`-XX:ArchiveClassesAtExit=${recordedIn(folder)}`, ...SILENCE];
}

/**
 * Makes a recorded archive known to `sharingFlags`, when a virtual machine finds it whole and takes it.
 *
 * @throws when there is none, or not such a one
 * @source https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
 */
export async function keepArchive(folder: string, { flags, classPath }: JavaSetup): Promise<void> {
  const recorded = recordedIn(folder);
  const strictly = ['-Xshare:on', '-XX:+VerifySharedSpaces', `-XX:SharedArchiveFile=${recorded}`];
  try {
    await promisify(execFile)('java', [...flags, ...strictly, '-cp', classPath, '-version'], { cwd: folder, timeout: CHECK_MS });
  } catch (error) {
    rmSync(recorded, { force: true });
    throw error;
  }
  const file = openSync(recorded, 'r');
  fsyncSync(file);
  closeSync(file);
  renameSync(recorded, join(folder, `classes-${statSync(recorded).size}.jsa`));
}

/**
 * Flags with which a program takes its classes from the archive of this folder, instead of looking for them in jars, reading and checking them. None when
 * there is no archive of the size it had. One of another Java, other flags or other jars is not used, and nothing is said about it.
 */
export function sharingFlags(folder: string): string[] {
  const whole = readdirSync(folder).find((name) => NAME.exec(name)?.[1] === String(statSync(join(folder, name)).size));
  return whole === undefined ? [] : [`-XX:SharedArchiveFile=${join(folder, whole)}`, ...SILENCE];
}

function recordedIn(folder: string): string {
  return join(folder, 'recorded.jsa');
}
