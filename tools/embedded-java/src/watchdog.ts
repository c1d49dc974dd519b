import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';

const SCRIPT = 'trap "" INT TERM HUP; while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids; rm -rf "$0"';

/** Outlives the process that made it: when the pipe on its input closes, it kills the servers it was told of last and deletes their folder. */
export class Watchdog {
  readonly #process: ChildProcess;

  constructor(folder: string) {
    this.#process = spawn('/bin/sh', ['-c', SCRIPT, folder], { cwd: tmpdir(), detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#process.unref();
    // A pipe is a socket, which can be unref'd, but its type does not say so.
    (this.#process.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null)?.unref?.();
    this.#process.stdin?.on('error', () => undefined);
  }

  /** The servers that are to be killed, by process id. */
  guard(pids: readonly (number | undefined)[]): void {
    this.#process.stdin?.write(`${pids.filter((pid) => pid !== undefined).join(' ')}\n`);
  }

  /** It deletes the folder, and is gone. */
  end(): void {
    this.#process.stdin?.end();
  }
}
