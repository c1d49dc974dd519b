import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** A stop in good order takes less than that, or is no good one. */
const STOP_MS = 15_000;
/** Sets `PR_SET_TIMERSLACK` to ten milliseconds, which is kept through exec and given to threads. Only Linux has that. */
const LAZY = 'echo 10000000 2>/dev/null >"/proc/$$/timerslack_ns"; exec "$0" "$@"';

/** How a Java program is run. */
export interface JavaPlace {
  /** The folder it works in. */
  readonly folder: string;
  /** The file it writes to. */
  readonly log: string;
  /** Called when there is another process, or none. */
  readonly changed: () => void;
  /**
   * What it waits for is waited for up to ten milliseconds longer, so that the kernel wakes several of its threads at a time: a broker looks for work in many, up to every
   * millisecond. What comes over the network wakes it at once. Default `false`.
   */
  readonly isLazy?: boolean;
}

/** A Java program of ours that runs until it is ended, and can be started again. */
export class JavaServer {
  #process: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  constructor(private readonly place: JavaPlace) {}

  /** Process id, undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** The last lines that it wrote. */
  get lastLines(): string {
    return readFileSync(this.place.log, 'utf8').split('\n').slice(-20).join('\n');
  }

  /** @param also environment variables over those of this process */
  start(args: readonly string[], also: Readonly<Record<string, string>> = {}): void {
    const { folder, log, changed, isLazy = false } = this.place;
    const output = openSync(log, 'a');
    const [program, first] = isLazy ? ['/bin/sh', ['-c', LAZY, 'java']] : ['java', []];
    const server = spawn(program, [...first, ...args], {
      cwd: folder,
      env: { ...process.env, ...also },
      detached: true,
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    server.unref();
    this.#process = server;
    this.#exited = new Promise((resolve) => {
      const ended = () => {
        if (this.#process === server) {
          this.#process = undefined;
          // Its number may be another process's by the time ours ends.
          changed();
        }
        resolve();
      };
      server.once('exit', ended).once('error', ended);
    });
    changed();
  }

  /** SIGSTOP or SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Ends it in good order, and with kill -9 when that takes too long. */
  async stop(patienceMs = STOP_MS): Promise<void> {
    const late = setTimeout(() => this.signal('SIGKILL'), patienceMs);
    await this.#end('SIGTERM');
    clearTimeout(late);
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#process === undefined) return;
    // The server is unref'd: something has to keep the event loop until its exit is seen.
    const keepAlive = setInterval(() => undefined, 1000);
    this.signal(signal);
    await this.#exited;
    clearInterval(keepAlive);
  }
}
