import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { type Artifacts, libraryFolder } from './artifacts.js';
import { fingerprintOf, type JavaSetup } from './java-setup.js';

/** Who has not done it by then has died over it. */
const ABANDONED_MS = 600_000;

/** What is made once on a machine for all starts of a server. */
export interface Preparation {
  readonly artifacts: Artifacts;
  /** With another one it is made again. */
  readonly setup: JavaSetup;
  /** Puts it into an empty folder, which gets another name afterwards. */
  prepare(folder: string): Promise<void>;
}

/**
 * The folder with what was prepared, beside the artifacts; made by the first process that asks. Undefined where there is none: while another process makes it,
 * in a cache that cannot be written, and when making it failed. Servers have to start without it, too.
 */
export async function findPrepared({ artifacts, setup, prepare }: Preparation): Promise<string | undefined> {
  const folder = `${libraryFolder(artifacts)}-${fingerprintOf(setup)}`;
  if (existsSync(folder)) return folder;
  const workshop = `${folder}-making`;
  if (!claim(workshop)) return undefined;
  try {
    await prepare(workshop);
    renameSync(workshop, folder);
    return folder;
  } catch {
    rmSync(workshop, { recursive: true, force: true });
    return undefined;
  }
}

/** Whether it is ours to make. */
function claim(workshop: string): boolean {
  try {
    const since = statSync(workshop, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (Date.now() - since > ABANDONED_MS) rmSync(workshop, { recursive: true, force: true });
    mkdirSync(workshop);
    return true;
  } catch {
    return false;
  }
}
