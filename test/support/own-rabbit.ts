import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { connect } from 'amqplib';
import { freePort } from '@holdfast-internal/embedded-postgres';

/** A start on a busy machine takes ten seconds and more. */
const PATIENCE_MS = 90_000;
const SCRIPT = 'rabbitmq-server';
/** Where packages put it, if that is not in the path. */
const ELSEWHERE = ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin'];
/** Ends with the process that started it, whatever becomes of that one. */
const WATCHED = '"$0" & read _; kill -9 0';

/** A suite that breaks a RabbitMQ of its own; skipped with the reason where no `rabbitmq-server` is installed. */
export function describeWithOwnRabbit(title: string, suite: () => void): void {
  if (installedScripts() === undefined) describe.skip(`${title} (no ${SCRIPT} is installed to start one of its own)`, suite);
  else describe(title, suite);
}

/** A RabbitMQ that belongs to one suite, and may be stopped, killed and put short of memory. What it has confirmed is on its disk. */
export class OwnRabbit {
  private server: ChildProcess | undefined;

  private constructor(
    /** Address of its virtual host `/`. */
    readonly url: string,
    private readonly place: { readonly directory: string; readonly scripts: string; readonly environment: NodeJS.ProcessEnv },
  ) {}

  /** Makes one and starts it. @param configuration further lines of its `rabbitmq.conf` */
  static async start(configuration: readonly string[] = []): Promise<OwnRabbit> {
    const scripts = installedScripts();
    if (scripts === undefined) throw new Error(`no ${SCRIPT} is installed`);
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-rabbit-'));
    const at = (name: string) => join(directory, name);
    const [port, distPort] = [await freePort(), await freePort()];
    mkdirSync(at('home'));
    writeFileSync(at('enabled_plugins'), '[].\n');
    const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`, 'disk_free_limit.absolute = 1MB', 'log.file.level = warning', ...configuration];
    writeFileSync(at('rabbitmq.conf'), `${lines.join('\n')}\n`);
    const environment = {
      ...process.env,
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
    };
    const rabbit = new OwnRabbit(`amqp://guest:guest@127.0.0.1:${port}`, { directory, scripts, environment });
    await rabbit.start();
    return rabbit;
  }

  /** Resolves when it lets a client in. */
  async start(): Promise<void> {
    const server = spawn('/bin/sh', ['-c', WATCHED, join(this.place.scripts, SCRIPT)], {
      env: this.place.environment,
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.server = server;
    for (const end = performance.now() + PATIENCE_MS; !(await this.isOpen()); ) {
      if (server.exitCode !== null || server.signalCode !== null || performance.now() > end)
        throw new Error(`RabbitMQ did not start; its log is in ${this.place.directory}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    this.ctl('stop', join(this.place.directory, 'pid'));
    await this.kill();
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const { server } = this;
    if (server?.pid === undefined) return;
    this.server = undefined;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    process.kill(-server.pid, 'SIGKILL');
    await ended;
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
    rmSync(this.place.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  private async isOpen(): Promise<boolean> {
    try {
      const connection = await connect(this.url, { timeout: 5000 });
      connection.on('error', () => undefined);
      await connection.close();
      return true;
    } catch {
      return false;
    }
  }

  private ctl(...args: readonly string[]): string {
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    return execFileSync(join(this.place.scripts, 'rabbitmqctl'), ['-q', ...args], {
      env: this.place.environment,
      stdio: [...stdio],
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
