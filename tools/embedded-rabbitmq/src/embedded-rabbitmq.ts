import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@holdfast-internal/embedded-postgres';
import { connect } from 'amqplib';

/** A start on a busy machine takes ten seconds and more. */
const PATIENCE_MS = 90_000;
const SCRIPT = 'rabbitmq-server';
/** Where packages put it, if that is not in the path. */
const ELSEWHERE = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin'];
/**
 * Says when the broker ends by itself, whose script hides with which exit code. Ends with the process that started it, whatever becomes of that one, and takes its files
 * along; also when it is frozen.
 */
const WATCHED = '{ "$0" >"$1/console" 2>&1; echo ended; } & read _; kill -9 "$(cat "$1/pid")"; rm -rf "$1"; kill -9 0';
/** Of what a broker said that did not start: Erlang says why first, and then a page of where. */
const LAST_LINES = 60;

/** Where one is, also for processes that did not start it. */
export interface RabbitmqPlace {
  /** Address of its virtual host `/`. */
  readonly url: string;
  /** Such as `3.10.8`. */
  readonly version: string;
  /** What `rabbitmqctl` is told to find it: the program, and its environment. */
  readonly ctl: { readonly program: string; readonly environment: Readonly<Record<string, string>> };
}

/** Why no RabbitMQ can be started on this machine; undefined when one can. */
export function missingTools(): string | undefined {
  return installedScripts() === undefined ? `no ${SCRIPT} is installed` : undefined;
}

/**
 * A real RabbitMQ in a temporary folder, owned by this process: it can be stopped, killed, frozen and put short of memory, and started again on the same data and ports,
 * and it does not survive the process, however that ends. What it has confirmed is on its disk.
 *
 * **Not promised:** Erlang's `epmd`, by which nodes of a machine find each other, is started with the first one, is shared with all others, and stays: on loopback.
 */
export class EmbeddedRabbitmq {
  private server: ChildProcess | undefined;
  private version = '';

  private constructor(
    /** Address of its virtual host `/`. */
    readonly url: string,
    /** Where its data and its logs are. */
    readonly folder: string,
    private readonly installed: { readonly scripts: string; readonly environment: Readonly<Record<string, string>> },
  ) {}

  /** Makes one and starts it. @param configuration further lines of its `rabbitmq.conf` */
  static async start(configuration: readonly string[] = []): Promise<EmbeddedRabbitmq> {
    const scripts = installedScripts();
    if (scripts === undefined) throw new Error(missingTools());
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-rabbit-'));
    const at = (name: string) => join(folder, name);
    const [port, distPort] = [await freePort(), await freePort()];
    mkdirSync(at('home'));
    writeFileSync(at('enabled_plugins'), '[].\n');
    const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`, 'disk_free_limit.absolute = 1MB', 'log.file.level = warning', ...configuration];
    writeFileSync(at('rabbitmq.conf'), `${lines.join('\n')}\n`);
    const environment = {
      // Its secret is its own too.
      HOME: at('home'),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_NODENAME: `holdfast_${port}@localhost`,
      RABBITMQ_DIST_PORT: String(distPort),
      RABBITMQ_MNESIA_BASE: at('data'),
      RABBITMQ_LOG_BASE: at('log'),
      RABBITMQ_PID_FILE: at('pid'),
      RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: at('enabled_plugins'),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_CRASH_DUMP: at('erl_crash.dump'),
    };
    const rabbit = new EmbeddedRabbitmq(`amqp://guest:guest@127.0.0.1:${port}`, folder, { scripts, environment });
    await rabbit.start();
    return rabbit;
  }

  /** Process id of the broker, undefined while it is down. */
  get pid(): number | undefined {
    return this.server && (Number(this.read('pid')) || undefined);
  }

  /** Where others find it. */
  get place(): RabbitmqPlace {
    const { scripts, environment } = this.installed;
    return { url: this.url, version: this.version, ctl: { program: join(scripts, 'rabbitmqctl'), environment } };
  }

  /** Starts it on the data and the ports it had; resolves when it lets a client in. @throws with what it said when it does not start; its files stay then */
  async start(): Promise<void> {
    const { scripts, environment } = this.installed;
    // Of the process before it, whose number may be another's by now.
    rmSync(join(this.folder, 'pid'), { force: true });
    const server = spawn('/bin/sh', ['-c', WATCHED, join(scripts, SCRIPT), this.folder], {
      env: { ...process.env, ...environment },
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    server.unref();
    // A pipe is a socket, which can be unref'd, but its type does not say so.
    for (const pipe of [server.stdin, server.stdout]) (pipe as { unref?: () => void }).unref?.();
    this.server = server;
    try {
      await this.opened(server);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Ends it in good order. The data stays. */
  async stop(): Promise<void> {
    this.ctl('stop', join(this.folder, 'pid'));
    await this.kill();
  }

  /** kill -9. The data stays; `start()` recovers it. */
  async kill(): Promise<void> {
    const { server } = this;
    if (server?.pid === undefined) return;
    this.server = undefined;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    // It is unref'd: something has to keep the event loop until its exit is seen.
    const keepAlive = setInterval(() => undefined, 1000);
    process.kill(-server.pid, 'SIGKILL');
    await ended;
    clearInterval(keepAlive);
  }

  /** Lets it hang: its connections stay open, and nothing is answered. */
  freeze(): void {
    this.signal('SIGSTOP');
  }

  /** Lets a frozen one go on. */
  thaw(): void {
    this.signal('SIGCONT');
  }

  /** It has no memory left, as it thinks, and takes no messages; or it has again. */
  setMemoryAlarm(isOn: boolean): void {
    this.ctl('set_vm_memory_high_watermark', isOn ? '0.00001' : '0.4');
  }

  /** Its queues, a line each: messages that are ready, messages in hand, consumers. */
  queues(): string {
    return this.ctl('list_queues', '--no-table-headers', 'name', 'messages_ready', 'messages_unacknowledged', 'consumers');
  }

  /** Kills it and deletes all that it had. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid !== undefined) process.kill(pid, signal);
  }

  private async opened(server: ChildProcess): Promise<void> {
    let end: string | undefined;
    server.stdout?.once('data', () => {
      end = 'it has ended';
    });
    for (const late = performance.now() + PATIENCE_MS; !(await this.isOpen()); await sleep(50)) {
      if (server.exitCode !== null || server.signalCode !== null) end ??= 'it was killed';
      const why = end ?? (performance.now() > late ? `it let nobody in for ${PATIENCE_MS} ms` : undefined);
      if (why === undefined) continue;
      const said = this.read('console').trimEnd().split('\n').slice(-LAST_LINES).join('\n');
      throw new Error(`RabbitMQ did not start: ${why}. Its logs are in ${this.folder}, and the last it said is:\n${said}`);
    }
  }

  /** What is in a file of it, if it is there. */
  private read(name: string): string {
    const file = join(this.folder, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  private async isOpen(): Promise<boolean> {
    try {
      const connection = await connect(this.url, { timeout: 5000 });
      connection.on('error', () => undefined);
      this.version = String(connection.connection.serverProperties.version);
      await connection.close();
      return true;
    } catch {
      return false;
    }
  }

  private ctl(...args: readonly string[]): string {
    const { program, environment } = this.place.ctl;
    return execFileSync(program, ['-q', ...args], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: PATIENCE_MS,
      encoding: 'utf8',
    });
  }
}

/** The folder of the server's own scripts: a package's wrapper around them would start it as another user. */
function installedScripts(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...ELSEWHERE];
  const found = folders.map((folder) => join(folder, SCRIPT)).find((file) => existsSync(file));
  return found && dirname(realpathSync(join(dirname(realpathSync(found)), SCRIPT)));
}
