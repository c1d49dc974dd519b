import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { findBinaries, type PostgresBinaries } from './binaries.js';
import { killTree, stopTree } from './process-tree.js';
import { type UnprivilegedUser, unprivilegedUser } from './unprivileged-user.js';
import type { Remains } from './watchdog.js';

/** How the server is set up; everything has a default fit for tests. */
export interface EmbeddedPostgresOptions {
  /** Flush to disk at commit, default `true`. Only a crash of the machine needs it; `false` is faster. */
  readonly fsync?: boolean;
  /** More server settings (`postgres -c name=value`), over the defaults. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Port on 127.0.0.1, default a free one. */
  readonly port?: number;
  /** Its own directory is made in this one, default the temporary directory of the system. */
  readonly parentDirectory?: string;
  /**
   * Its addresses name a Unix socket too (`?host=`), which clients of PostgreSQL prefer: a round trip costs a third less. Default `false`: whoever takes
   * such an address apart has to know of it (`addressBy`). Not on Windows, nor in a directory whose name is too long for it.
   */
  readonly hasUnixSocket?: boolean;
}

const DEFAULT_SETTINGS = {
  listen_addresses: '127.0.0.1',
  max_connections: 300,
  max_prepared_transactions: 64,
  wal_level: 'logical',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  // Files in the data directory: nothing is left in /dev/shm after a kill.
  dynamic_shared_memory_type: 'mmap',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
};

/** Longest name of a Unix socket on macOS; Linux takes four bytes more. */
const MOST_SOCKET_BYTES = 103;

/**
 * A real PostgreSQL 18 in a temporary directory, owned by this process: it can be killed and started again on the same
 * data and port, and it does not survive the process, however that ends. Works as root and with install scripts off.
 */
export class EmbeddedPostgres {
  /** Port on 127.0.0.1, the same after a restart. */
  readonly port: number;
  /** Where the data is. */
  readonly dataDirectory: string;
  readonly #directory: string;
  readonly #binaries: PostgresBinaries & { readonly temporaryDirectory?: string };
  readonly #user: UnprivilegedUser | undefined;
  readonly #settings: Readonly<Record<string, string | number | boolean>>;
  readonly #socketDirectory: string | undefined;
  readonly #watchdog: ChildProcess;
  #server: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(port: number, options: EmbeddedPostgresOptions) {
    this.port = port;
    this.#user = unprivilegedUser();
    this.#directory = mkdtempSync(join(options.parentDirectory ?? tmpdir(), 'holdfast-postgres-'));
    this.#socketDirectory = options.hasUnixSocket && canHaveSocket(this.#directory) ? this.#directory : undefined;
    const sockets = { unix_socket_directories: this.#socketDirectory ?? '' };
    this.#settings = { ...DEFAULT_SETTINGS, ...sockets, fsync: options.fsync ?? true, ...options.settings, port };
    this.dataDirectory = join(this.#directory, 'data');
    this.#watchdog = startWatchdog();
    this.#binaries = findBinaries({ runsAsOtherUser: this.#user !== undefined });
    this.#tellWatchdog();
    if (this.#user) chownSync(this.#directory, this.#user.uid, this.#user.gid);
  }

  /** Makes a new, empty cluster and starts it; resolves when it takes connections (about two seconds). */
  static async start(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
    const postgres = new EmbeddedPostgres(options.port ?? (await freePort()), options);
    try {
      await postgres.#initialize();
      await postgres.start();
    } catch (error) {
      await postgres.remove();
      throw error;
    }
    return postgres;
  }

  /** Address of the database `postgres`; user `postgres`, no password. */
  get url(): string {
    return this.urlOf('postgres');
  }

  /** Address of a database of this server, whether it exists or not. */
  urlOf(database: string): string {
    const host = this.#socketDirectory && `?host=${encodeURIComponent(this.#socketDirectory)}`;
    return `postgres://postgres@127.0.0.1:${this.port}/${database}${host ?? ''}`;
  }

  /** Creates a database and answers its address. `name` is a plain identifier: letters, digits, underscores. */
  async createDatabase(name: string): Promise<string> {
    const client = new Client({ connectionString: this.url });
    await client.connect();
    try {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
    } finally {
      await client.end();
    }
    return this.urlOf(name);
  }

  /** What the server has written so far. */
  get log(): string {
    return readFileSync(join(this.#directory, 'server.log'), 'utf8');
  }

  /** Process id of the postmaster, `undefined` while the server is down. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Starts the server on the data and the port it had; resolves when it takes connections. Does nothing when it runs. */
  async start(): Promise<void> {
    if (this.#server) return;
    const logFile = openSync(join(this.#directory, 'server.log'), 'a');
    const settings = Object.entries(this.#settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = spawn(this.#binaries.postgres, ['-D', this.dataDirectory, ...settings], {
      ...this.#user,
      cwd: this.#directory,
      env: serverEnvironment(),
      detached: true,
      stdio: ['ignore', logFile, logFile],
    });
    closeSync(logFile);
    server.unref();
    this.#server = server;
    this.#exited = new Promise((resolve) => {
      const ended = () => {
        if (this.#server === server) this.#server = undefined;
        resolve();
      };
      server.once('exit', ended).once('error', ended);
    });
    this.#tellWatchdog();
    await this.#waitUntilReady();
  }

  /** kill -9 of the postmaster and of every backend at once. The data stays; `start()` recovers it. */
  async kill(): Promise<void> {
    await this.#end((pid) => killTree(pid));
  }

  /** Fast shut-down: open transactions are rolled back. The data stays. */
  async stop(): Promise<void> {
    await this.#end((pid) => stopTree(pid, 'SIGINT', 15_000));
  }

  /** Stops the server for good and deletes its data. */
  async remove(): Promise<void> {
    await this.#end((pid) => stopTree(pid, 'SIGQUIT', 5_000));
    for (const directory of this.#directories()) rmSync(directory, { recursive: true, force: true });
    this.#watchdog.stdin?.end();
  }

  async #end(how: (pid: number) => Promise<void>): Promise<void> {
    const pid = this.#server?.pid;
    if (pid === undefined) return;
    // `#server` is unref'd: keep the event loop alive until its exit is seen.
    const keepAlive = setInterval(() => undefined, 1_000);
    await how(pid);
    await this.#exited;
    clearInterval(keepAlive);
    this.#tellWatchdog();
  }

  async #initialize(): Promise<void> {
    const options = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'];
    await promisify(execFile)(this.#binaries.initdb, ['-D', this.dataDirectory, ...options], {
      ...this.#user,
      cwd: this.#directory,
      env: serverEnvironment(),
    });
  }

  async #waitUntilReady(): Promise<void> {
    const deadline = Date.now() + 60_000;
    for (;;) {
      if (!this.#server) throw new Error(`PostgreSQL did not start:\n${this.log.split('\n').slice(-20).join('\n')}`);
      if (await answers(this.url)) return;
      if (Date.now() > deadline) throw new Error(`PostgreSQL does not take connections on port ${this.port}:\n${this.log}`);
      await sleep(20);
    }
  }

  #directories(): string[] {
    const { temporaryDirectory } = this.#binaries;
    return temporaryDirectory ? [this.#directory, temporaryDirectory] : [this.#directory];
  }

  #tellWatchdog(): void {
    const remains: Remains = { pid: this.#server?.pid, directories: this.#directories() };
    this.#watchdog.stdin?.write(`${JSON.stringify(remains)}\n`);
  }
}

function canHaveSocket(directory: string): boolean {
  return process.platform !== 'win32' && Buffer.byteLength(join(directory, '.s.PGSQL.65535')) <= MOST_SOCKET_BYTES;
}

function startWatchdog(): ChildProcess {
  // From `src` (a test run) as well as from `dist`: plain Node runs only the compiled one.
  const script = join(__dirname, '..', 'dist', 'watchdog.js');
  const watchdog = spawn(process.execPath, [script], { cwd: tmpdir(), detached: true, stdio: ['pipe', 'ignore', 'ignore'], env: {} });
  watchdog.unref();
  // A pipe is a socket, which can be unref'd, but its type does not say so.
  (watchdog.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null)?.unref?.();
  watchdog.stdin?.on('error', () => undefined);
  return watchdog;
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function serverEnvironment(): NodeJS.ProcessEnv {
  // PG… variables of the caller would be defaults of the server; keep what a dynamic linker and a shell need.
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_') && name !== 'LANG'),
  );
}

/** A port of 127.0.0.1 below the range that outgoing connections are given, so that it is still free after a kill and a restart. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 18_000 + Math.floor(Math.random() * 14_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer().once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
