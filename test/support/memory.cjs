// Where the database of a test run has its files, if there is a file system in memory. Plain JavaScript, as the set-up that uses it.
const { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statfsSync, statSync } = require('node:fs');
const { freemem } = require('node:os');
const { join } = require('node:path');

/** Of some hundred databases a run makes and deletes every file. */
const MEMORY = '/dev/shm';
/** Twice what a run needs at most. */
const ENOUGH_BYTES = 4 * 2 ** 30;
const PREFIX = 'holdfast-postgres-';
/** More than it takes to make one: meanwhile several processes write their numbers, and end. */
const MAKING_MS = 60_000;

/** The file system in memory, where it can be written to, and both it and the machine have enough to spare. */
function findMemory({ directory = MEMORY, enoughBytes = ENOUGH_BYTES } = {}) {
  try {
    const { bavail, bsize } = statfsSync(directory);
    if (Math.min(bavail * bsize, freeBytes()) < enoughBytes) return undefined;
    rmdirSync(mkdtempSync(join(directory, PREFIX)));
    return directory;
  } catch {
    return undefined;
  }
}

/** Of the machine, or of the container that this is, whose limit counts what is in `/dev/shm` too. */
function freeBytes(machine = process) {
  // Without a limit it is zero, or more than there is.
  const limit = machine.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  return Math.min(freemem(), machine.availableMemory?.() ?? limit);
}

/** Files of runs that were killed together with whoever cleans up after them: what they occupy is missed until the machine starts again. */
function removeStaleServers(directory = MEMORY) {
  for (const name of namesIn(directory).filter((each) => each.startsWith(PREFIX))) {
    const path = join(directory, name);
    if (isDead(join(path, 'data', 'postmaster.pid'))) removeIfOurs(path);
  }
}

function removeIfOurs(path) {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Of another user, who removes it with the next run.
  }
}

function namesIn(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** True when the server that wrote the file is gone; one that has written none may be about to start, and so may one that has just written it. */
function isDead(pidFile) {
  try {
    if (statSync(pidFile).mtimeMs > Date.now() - MAKING_MS) return false;
    process.kill(Number.parseInt(readFileSync(pidFile, 'utf8'), 10), 0);
    return false;
  } catch (error) {
    // Not ENOENT of the file, and not EPERM, which is a process of somebody else's.
    return error.code === 'ESRCH';
  }
}

module.exports = { findMemory, freeBytes, removeStaleServers };
