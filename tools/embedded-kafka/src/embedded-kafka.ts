import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  classPathOf,
  findArtifacts,
  findPrepared,
  type JavaSetup,
  JavaServer,
  keepArchive,
  missingTools as missingToolsFor,
  recordingFlags,
  sharingFlags,
  Watchdog,
} from '@holdfast-internal/embedded-java';
import { freePort } from '@holdfast-internal/embedded-postgres';
import { Kafka, logLevel } from 'kafkajs';
import { accessOf, type EmbeddedKafkaOptions, hostOf, type NodePorts, type Place, propertiesOf } from './broker-settings.js';
import { copyFormatted } from './formatted.js';

/** Another one is for runs by hand: it has to start without ZooKeeper. */
const VERSION = process.env.HOLDFAST_TEST_KAFKA_VERSION || '4.3.1';
/** What it is made of. */
export const KAFKA = {
  name: 'Kafka',
  version: VERSION,
  needed: [`org.apache.kafka:kafka_2.13:${VERSION}`, 'org.slf4j:slf4j-simple:1.7.36'],
};

/** A start after kill -9 on a busy machine takes half a minute. */
const PATIENCE_MS = 120_000;
/** The archive of its classes is written when it ends, which takes some seconds on an idle machine. */
const RECORDING_MS = 90_000;
/** In what is prepared. */
const FORMATTED = 'formatted';
/** Any id will do. */
const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
/** Small, and without the figures for `jstat` and `jps`, which are taken 20 times a second. */
const JVM = ['-Xms128m', '-Xmx384m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-XX:-UsePerfData'];

/** Why no Kafka can be started on this machine; undefined when one can. */
export function missingTools(): string | undefined {
  return missingToolsFor(KAFKA);
}

/**
 * A real Kafka (a broker with KRaft, by itself or of a cluster) in a temporary folder, owned by this process: it can be killed, frozen and started again on
 * the same data and ports, and it does not survive the process, however that ends.
 */
export class EmbeddedKafka {
  /** Where clients find it, also after a restart. */
  readonly address: string;
  readonly #folder: string;
  readonly #watchdog: Watchdog;
  readonly #server: JavaServer;
  #wasComplete = false;

  private constructor(
    private readonly place: Place,
    private readonly options: EmbeddedKafkaOptions,
    private readonly setup: JavaSetup,
  ) {
    const { node, nodes } = place;
    this.address = `${hostOf(options)}:${nodes[node]?.clients}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'holdfast-kafka-'));
    writeFileSync(this.#at('server.properties'), propertiesOf(place, this.#folder, options));
    this.#watchdog = new Watchdog(this.#folder);
    const changed = () => this.#watchdog.guard([this.pid]);
    this.#server = new JavaServer({ folder: this.#folder, log: this.#at('server.log'), changed });
  }

  /** Makes a new, empty broker and starts it; the first time on a machine that takes as long as Maven needs to fetch it. */
  static async start(options: EmbeddedKafkaOptions = {}): Promise<EmbeddedKafka> {
    const [kafka] = await EmbeddedKafka.startCluster(1, options);
    return kafka as EmbeddedKafka;
  }

  /** The same with several brokers that know each other: what is made has a copy on each, and one of them may be missing. */
  static async startCluster(size: number, options: EmbeddedKafkaOptions = {}): Promise<readonly EmbeddedKafka[]> {
    const setup = { flags: JVM, classPath: classPathOf(await findArtifacts(KAFKA)) };
    const prepared = await findPrepared({ artifacts: KAFKA, setup, prepare: (folder) => EmbeddedKafka.#prepare(setup, folder) });
    const sharing = prepared === undefined ? [] : sharingFlags(prepared);
    const nodes = await freeNodes(size);
    const brokers = nodes.map((_, node) => new EmbeddedKafka({ node, nodes }, options, { ...setup, flags: [...JVM, ...sharing] }));
    try {
      await Promise.all(brokers.map((broker) => broker.#startEmpty(prepared)));
    } catch (error) {
      await Promise.all(brokers.map((broker) => broker.remove()));
      throw error;
    }
    return brokers;
  }

  /** What all starts have in common: a folder that is formatted, and an archive of the classes, without which a broker starts too. */
  static async #prepare(setup: JavaSetup, folder: string): Promise<void> {
    const recording = { ...setup, flags: [...setup.flags, ...recordingFlags(folder)] };
    const broker = new EmbeddedKafka({ node: 0, nodes: await freeNodes(1) }, {}, recording);
    try {
      await broker.#format(setup);
      cpSync(broker.#at('data'), join(folder, FORMATTED), { recursive: true });
      const record = async () => {
        await broker.start();
        await broker.#server.stop(RECORDING_MS);
        await keepArchive(folder, setup);
      };
      await record().catch((error: unknown) => writeFileSync(join(folder, 'no-classes.txt'), String(error)));
    } finally {
      await broker.remove();
    }
  }

  /** Process id of the broker, undefined while it is down. */
  get pid(): number | undefined {
    return this.#server.pid;
  }

  /** Where its data and its log are. */
  get folder(): string {
    return this.#folder;
  }

  /** Starts it on the data and the ports it had; resolves when it answers. Does nothing when it runs. */
  async start(): Promise<void> {
    if (this.pid !== undefined) return;
    this.#server.start(this.#java(this.setup, 'kafka.Kafka'));
    await this.#untilItAnswers();
  }

  /** kill -9. The data stays; `start()` recovers it. */
  kill(): Promise<void> {
    return this.#server.kill();
  }

  /** Ends it in good order. The data stays. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Lets it hang: its connections stay open, and nothing is answered. */
  freeze(): void {
    this.#server.signal('SIGSTOP');
  }

  /** Lets a frozen one go on. */
  thaw(): void {
    this.#server.signal('SIGCONT');
  }

  /** Ends it for good and deletes its data. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    this.#watchdog.end();
  }

  async #startEmpty(prepared: string | undefined): Promise<void> {
    const isFormatted = prepared !== undefined && copyFormatted(join(prepared, FORMATTED), this.#at('data'), { id: this.place.node + 1 });
    if (!isFormatted) await this.#format(this.setup);
    await this.start();
  }

  async #format(setup: JavaSetup): Promise<void> {
    await promisify(execFile)('java', this.#java(setup, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c'));
  }

  #at(name: string): string {
    return join(this.#folder, name);
  }

  #java({ flags, classPath }: JavaSetup, main: string, ...args: readonly string[]): string[] {
    return [...flags, '-cp', classPath, main, ...args, this.#at('server.properties')];
  }

  /** An open port is not enough: after kill -9 it is open long before anything is answered. */
  async #untilItAnswers(): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; !(await this.#answers()); await sleep(50))
      if (this.pid === undefined || performance.now() > end) throw new Error(`Kafka did not start:\n${this.#server.lastLines}`);
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
}

async function freeNodes(size: number): Promise<readonly NodePorts[]> {
  const nodes: NodePorts[] = [];
  for (let n = 0; n < size; n += 1) nodes.push({ clients: await freePort(), controller: await freePort() });
  return nodes;
}
