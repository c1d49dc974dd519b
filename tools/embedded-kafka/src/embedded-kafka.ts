import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '@holdfast-internal/embedded-postgres';
import { Kafka, logLevel } from 'kafkajs';
import { findArtifacts } from './artifacts.js';

/** A start after kill -9 on a busy machine takes half a minute. */
const PATIENCE_MS = 120_000;
/** A stop in good order takes less than a second. */
const STOP_MS = 15_000;
/** Any id will do. */
const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const JVM = ['-Xms128m', '-Xmx384m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
/** Outlives the process that started the broker: when the pipe on its input closes, it kills the broker it was told of last and deletes its folder. */
const WATCHDOG = 'trap "" INT TERM HUP; while read -r line; do pid=$line; done; [ "$pid" = 0 ] || kill -9 "$pid"; rm -rf "$0"';

/** Who is let in, with SASL's mechanism `plain`. */
export interface KafkaUser {
  readonly username: string;
  readonly password: string;
}

/** How a broker is set up. */
export interface EmbeddedKafkaOptions {
  /** Only this one is let in; default: everybody is. */
  readonly user?: KafkaUser;
}

/** Everything internal has one partition and one replica, and nobody waits for members or brokers that might still come. */
const SETTINGS = {
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.listener.names': 'CONTROLLER',
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 1,
  'share.coordinator.state.topic.num.partitions': 1,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500,
  'group.initial.rebalance.delay.ms': 0,
  'group.min.session.timeout.ms': 500,
  'broker.session.timeout.ms': 1500,
  'broker.heartbeat.interval.ms': 300,
  'log.segment.bytes': 16_777_216,
  'log.cleaner.enable': false,
  'num.network.threads': 2,
  'num.io.threads': 2,
  'background.threads': 1,
  'auto.create.topics.enable': false,
  'controlled.shutdown.enable': false,
};

/**
 * A real Kafka (one node, KRaft) in a temporary folder, owned by this process: it can be killed, frozen and started again on the same data and ports, and
 * it does not survive the process, however that ends.
 */
export class EmbeddedKafka {
  /** Where clients find it, also after a restart. */
  readonly address: string;
  readonly #folder: string;
  readonly #watchdog: ChildProcess;
  #library = '';
  #server: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(
    ports: { readonly clients: number; readonly controller: number },
    private readonly options: EmbeddedKafkaOptions,
  ) {
    const listeners = `CLIENTS://127.0.0.1:${ports.clients},CONTROLLER://127.0.0.1:${ports.controller}`;
    this.address = `127.0.0.1:${ports.clients}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'holdfast-kafka-'));
    const places = {
      listeners,
      'advertised.listeners': `CLIENTS://${this.address}`,
      'controller.quorum.voters': `1@127.0.0.1:${ports.controller}`,
      'log.dirs': this.#at('data'),
    };
    const lines = Object.entries({ ...SETTINGS, ...places, ...doorOf(options.user) }).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(this.#at('server.properties'), lines.join(''));
    this.#watchdog = startWatchdog(this.#folder);
  }

  /** Makes a new, empty broker and starts it; the first time on a machine that takes as long as Maven needs to fetch it. */
  static async start(options: EmbeddedKafkaOptions = {}): Promise<EmbeddedKafka> {
    const library = await findArtifacts();
    const kafka = new EmbeddedKafka({ clients: await freePort(), controller: await freePort() }, options);
    kafka.#library = library;
    try {
      await promisify(execFile)('java', kafka.#java('kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c'));
      await kafka.start();
    } catch (error) {
      await kafka.remove();
      throw error;
    }
    return kafka;
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
    for (const end = performance.now() + PATIENCE_MS; !(await answers(this.address, this.options.user)); await sleep(50))
      if (this.#server === undefined || performance.now() > end)
        throw new Error(`Kafka did not start:\n${readFileSync(this.#at('server.log'), 'utf8').split('\n').slice(-20).join('\n')}`);
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

/** How clients are let in, of whom the broker is one itself. */
function doorOf(user: KafkaUser | undefined): Readonly<Record<string, string>> {
  const protocol = user === undefined ? 'PLAINTEXT' : 'SASL_PLAINTEXT';
  const door = { 'listener.security.protocol.map': `CONTROLLER:PLAINTEXT,CLIENTS:${protocol}`, 'inter.broker.listener.name': 'CLIENTS' };
  if (user === undefined) return door;
  const { username, password } = user;
  const known = `username="${username}" password="${password}" user_${username}="${password}"`;
  return {
    ...door,
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.clients.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${known};`,
  };
}

/** Whether clients get what they ask for. */
async function answers(address: string, user: KafkaUser | undefined): Promise<boolean> {
  const kafka = new Kafka({
    brokers: [address],
    sasl: user && { mechanism: 'plain', ...user },
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1000,
    requestTimeout: 2000,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.describeCluster();
    await admin.listTopics();
    return true;
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}
