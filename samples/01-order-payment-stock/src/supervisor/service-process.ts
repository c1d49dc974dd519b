import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Ready } from './supervised.js';

/** Time to finish what is in flight before a service is killed. */
const STOP_MS = 12_000;

/** Who is told about a service. */
export interface ServiceEvents {
  /** It has written a line. */
  line(text: string): void;
  /** It ended and nobody had asked for it. */
  failed(error: Error): void;
}

/** One of the services, as a process of its own that can be killed and started again. */
export class ServiceProcess {
  url: string | undefined;
  private child: ChildProcess | undefined;
  private isEndExpected = false;
  private isStopped = false;

  constructor(
    readonly name: string,
    private readonly environment: NodeJS.ProcessEnv,
    private readonly events: ServiceEvents,
  ) {}

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Resolves when the service takes work. @throws when it ends before that */
  async start(): Promise<void> {
    if (this.isStopped) throw new Error(`${this.name} is not started any more: everything is stopping`);
    this.isEndExpected = false;
    const child = fork(join(__dirname, '..', this.name, 'main.js'), { env: this.environment, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (text) => this.events.line(text));
    }
    await new Promise<void>((resolve, reject) => {
      child.once('message', ({ url }: Ready) => {
        this.url = url;
        resolve();
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        const error = new Error(`${this.name} ended by itself (${signal ?? `exit code ${code}`})`);
        reject(error);
        if (!this.isEndExpected) this.events.failed(error);
      });
    });
  }

  /** kill -9: no warning, no clean-up. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** SIGTERM, as a deploy does it; the service is not started again. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.end('SIGTERM');
  }

  /** kill -9, and it is not started again. */
  async abandon(): Promise<void> {
    this.isStopped = true;
    await this.end('SIGKILL');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    this.isEndExpected = true;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(overdue);
  }
}
