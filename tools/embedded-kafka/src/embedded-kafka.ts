import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '@holdfast-internal/embedded-postgres';
import { Kafka, logLevel } from 'kafkajs';
import { findArtifacts } from './artifacts.js';
import { accessOf, type EmbeddedKafkaOptions, hostOf, type NodePorts, type Place, propertiesOf } from './broker-settings.js';

/** A start after kill -9 on a busy machine takes half a minute. */
const PATIENCE_MS = 120_000;
/** A stop in good order takes less than a second. */
const STOP_MS = 15_000;
/** Any id will do. */
const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const JVM = ['-Xms128m', '-Xmx384m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
/** Outlives the process that started the broker: when the pipe on its input closes, it kills the broker it was told of last and deletes its folder. */
const WATCHDOG = 'trap "" INT TERM HUP; while read -r line; do pid=$line; done; [ "$pid" = 0 ] || kill -9 "$pid"; rm -rf "$0"';

/**
 * A real Kafka (a broker with KRaft, by itself or of a cluster) in a temporary folder, owned by this process: it can be killed, frozen and started again on
 * the same data and ports, and it does not survive the process, however that ends.
 */
export class EmbeddedKafka {
  /** Where clients find it, also after a restart. */
  readonly address: string;
  readonly #folder: string;
  readonly #watchdog: ChildProcess;
  #library = '';
  #wasComplete = false;
  #server: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(
    private readonly place: Place,
    private readonly options: EmbeddedKafkaOptions,
  ) {
    const { node, nodes } = place;
    this.address = `${hostOf(options)}:${nodes[node]?.clients}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'holdfast-kafka-'));
    writeFileSync(this.#at('server.properties'), propertiesOf(place, this.#folder, options));
    this.#watchdog = startWatchdog(this.#folder);
  }

  /** Makes a new, empty broker and starts it; the first time on a machine that takes as long as Maven needs to fetch it. */
  static async start(options: EmbeddedKafkaOptions = {}): Promise<EmbeddedKafka> {
    const [kafka] = await EmbeddedKafka.startCluster(1, options);
    return kafka as EmbeddedKafka;
  }

  /** The same with several brokers that know each other: what is made has a copy on each, and one of them may be missing. */
  static async startCluster(size: number, options: EmbeddedKafkaOptions = {}): Promise<readonly EmbeddedKafka[]> {
    const library = await findArtifacts();
    const nodes: NodePorts[] = [];
    for (let n = 0; n < size; n += 1) nodes.push({ clients: await freePort(), controller: await freePort() });
    const brokers = nodes.map((_, node) => new EmbeddedKafka({ node, nodes }, options));
    try {
      await Promise.all(brokers.map((broker) => broker.#startEmpty(library)));
    } catch (error) {
      await Promise.all(brokers.map((broker) => broker.remove()));
      throw error;
    }
    return brokers;
  }

  /** Process id of the broker, undefined while it is down. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Where its data and its log are. */
  get folder(): string {
    return this.#folder;
  }

  /** Starts it on the data and the ports it had; resolves when it answers. Does nothing when it runs. */
  async start(): Promise<void> {
    if (this.#server !== undefined) return;
    const log = openSync(this.#at('server.log'), 'a');
    const server = spawn('java', [...JVM, ...this.#java('kafka.Kafka')], {
      cwd: this.#folder,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    server.unref();
    this.#server = server;
    this.#exited = new Promise((resolve) => {
      const ended = () => {
        if (this.#server === server) {
          this.#server = undefined;
          // Its number may be another process's by the time ours ends.
          this.#tellWatchdog();
        }
        resolve();
      };
      server.once('exit', ended).once('error', ended);
    });
    this.#tellWatchdog();
    await this.#untilItAnswers();
  }

  /** kill -9. The data stays; `start()` recovers it. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Ends it in good order. The data stays. */
  async stop(): Promise<void> {
    const late = setTimeout(() => this.#server?.kill('SIGKILL'), STOP_MS);
    await this.#end('SIGTERM');
    clearTimeout(late);
  }

  /** Lets it hang: its connections stay open, and nothing is answered. */
  freeze(): void {
    this.#server?.kill('SIGSTOP');
  }

  /** Lets a frozen one go on. */
  thaw(): void {
    this.#server?.kill('SIGCONT');
  }

  /** Ends it for good and deletes its data. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    this.#watchdog.stdin?.end();
  }

  async #startEmpty(library: string): Promise<void> {
    this.#library = library;
    await promisify(execFile)('java', this.#java('kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c'));
    await this.start();
  }

  #at(name: string): string {
    return join(this.#folder, name);
  }

  #java(main: string, ...args: readonly string[]): string[] {
    return ['-cp', join(this.#library, '*'), main, ...args, this.#at('server.properties')];
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#server === undefined) return;
    // The server is unref'd: something has to keep the event loop until its exit is seen.
    const keepAlive = setInterval(() => undefined, 1000);
    this.#server.kill(signal);
    await this.#exited;
    clearInterval(keepAlive);
  }

  /** An open port is not enough: after kill -9 it is open long before anything is answered. */
  async #untilItAnswers(): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; !(await this.#answers()); await sleep(50))
      if (this.#server === undefined || performance.now() > end)
        throw new Error(`Kafka did not start:\n${readFileSync(this.#at('server.log'), 'utf8').split('\n').slice(-20).join('\n')}`);
  }

  /** Whether clients get what they ask for, when all brokers are there for the first time, and later from it alone. */
  async #answers(): Promise<boolean> {
    const kafka = new Kafka({
      brokers: [this.address],
      ...accessOf(this.options),
      logLevel: logLevel.NOTHING,
      connectionTimeout: 1000,
      requestTimeout: 2000,
      retry: { retries: 0 },
    });
    const admin = kafka.admin();
    try {
      await admin.connect();
      const { brokers } = await admin.describeCluster();
      await admin.listTopics();
      this.#wasComplete ||= brokers.length === this.place.nodes.length;
      return this.#wasComplete;
    } catch {
      return false;
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  #tellWatchdog(): void {
    this.#watchdog.stdin?.write(`${this.pid ?? 0}\n`);
  }
}

function startWatchdog(folder: string): ChildProcess {
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG, folder], { cwd: tmpdir(), detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watchdog.unref();
  // A pipe is a socket, which can be unref'd, but its type does not say so.
  (watchdog.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null)?.unref?.();
  watchdog.stdin?.on('error', () => undefined);
  watchdog.stdin?.write('0\n');
  return watchdog;
}
