import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Command, Memory, Said, ServiceOptions } from './protocol.js';

/** A service in a process of its own, as the benchmark sees it. */
export class ServiceProcess {
  private readonly waiting: ((said: Said) => void)[] = [];

  private constructor(
    private readonly child: ChildProcess,
    private readonly onPaid: (orderId: string, atMs: number) => void,
  ) {
    child.on('message', (said: Said) => {
      if (said.is === 'paid') this.onPaid(said.orderId, said.atMs);
      else this.waiting.shift()?.(said);
    });
    // Whoever still waits must not wait for ever.
    child.on('exit', () => {
      for (const tell of this.waiting.splice(0)) tell({ is: 'failed', error: 'the process ended' });
    });
  }

  /** Starts it; resolves when its handlers are at work. */
  static async start(options: ServiceOptions, onPaid: (orderId: string, atMs: number) => void = () => undefined): Promise<ServiceProcess> {
    return ServiceProcess.run('service.js', JSON.stringify(options), onPaid);
  }

  /** Starts one that works on the sagas in a database. */
  static startSagas(url: string): Promise<ServiceProcess> {
    return ServiceProcess.run('saga-service.js', url, () => undefined);
  }

  private static async run(program: string, argument: string, onPaid: (orderId: string, atMs: number) => void): Promise<ServiceProcess> {
    const child = fork(join(__dirname, program), [argument], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const service = new ServiceProcess(child, onPaid);
    await service.answer();
    return service;
  }

  /** Asks it to do something, and waits until it is done. */
  async ask(command: Command): Promise<Memory | undefined> {
    this.child.send(command);
    return this.answer();
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended();
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    await this.ask({ do: 'stop' });
    this.child.disconnect();
    await this.ended();
  }

  private async ended(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }

  private async answer(): Promise<Memory | undefined> {
    const said = await new Promise<Said>((resolve) => this.waiting.push(resolve));
    if (said.is === 'failed') throw new Error(said.error);
    return said.is === 'done' ? said.answer : undefined;
  }
}
