// A process of its own that outlives the one that started the server: when that one is gone, however it went (the pipe
// on our standard input closes), it kills the server and removes its files. One JSON line on the pipe replaces the last.
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isRunning, stopTree } from './process-tree.js';

/** What the watchdog has to clean up; `pid` is absent while the server is down. */
export interface Remains {
  readonly pid?: number;
  readonly directories: readonly string[];
}

let remains: Remains = { directories: [] };

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  remains = JSON.parse(line) as Remains;
});
lines.on('close', () => void cleanUp());

async function cleanUp(): Promise<void> {
  if (remains.pid !== undefined && isRunning(remains.pid)) await stopTree(remains.pid, 'SIGQUIT', 2_000);
  for (const directory of remains.directories) rmSync(directory, { recursive: true, force: true });
}
