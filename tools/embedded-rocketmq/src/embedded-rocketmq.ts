import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findArtifacts, JavaServer, missingTools as missingToolsFor, Watchdog } from '@holdfast-internal/embedded-java';
import { freePort } from '@holdfast-internal/embedded-postgres';
import { invoke } from './remoting.js';

const VERSION = '5.5.0';
const ROCKETMQ = {
  name: 'RocketMQ',
  version: VERSION,
  needed: ['rocketmq-proxy', 'rocketmq-namesrv'].map((artifact) => `org.apache.rocketmq:${artifact}:${VERSION}`),
};

/** A start takes ten seconds on an idle machine, and far longer on a busy one. */
const PATIENCE_MS = 150_000;
/** Without the figures for `jstat` and `jps` (but `jcmd` with a process id), which are taken 20 times a second. */
const SMALL = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-XX:-UsePerfData'];
const MEMORY = ['-Xms128m', '-Xmx384m', '-XX:MaxDirectMemorySize=512m'];
/** Its own scripts say so too. */
const OPENED = [
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
  '--add-exports=java.base/sun.nio.ch=ALL-UNNAMED',
  '--add-opens=java.base/java.nio=ALL-UNNAMED',
  '--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED',
];
const CLUSTER = 'DefaultCluster';

/** Small files, no wait for a disk, and checks of transactions that come soon; these three times belong together. */
const BROKER = {
  brokerClusterName: CLUSTER,
  brokerName: 'broker-a',
  brokerId: 0,
  brokerIP1: '127.0.0.1',
  brokerIP2: '127.0.0.1',
  autoCreateTopicEnable: true,
  enableTxMessage: true,
  transientStorePoolEnable: false,
  flushDiskType: 'ASYNC_FLUSH',
  mappedFileSizeCommitLog: 67_108_864,
  mappedFileSizeConsumeQueue: 600_000,
  diskMaxUsedSpaceRatio: 98,
  // By default its wheel of delayed messages is written every second, and each time takes most of that.
  timerFlushIntervalMs: 60_000,
  // Of each kind of thread around that wheel there are three by default, which ask for work every few milliseconds.
  timerGetMessageThreadNum: 1,
  timerPutMessageThreadNum: 1,
  // Each of the 18 levels of the old kind of delay is looked at ten times a second; what comes through the proxy says when.
  messageDelayLevel: '1s',
  transactionCheckInterval: 1000,
  transactionTimeOut: 1000,
  transactionOpBatchInterval: 100,
};
/** Waits that end soon: by default a receive takes at least five seconds, and what was received is away for at least ten. */
const PROXY = { proxyMode: 'local', grpcClientConsumerMinLongPollingTimeoutMillis: 200, minInvisibleTimeMillsForRecv: 1000 };

/** Of RocketMQ's `RequestCode`: make a topic, tell of the brokers. */
const MAKE_TOPIC = 17;
const TELL_CLUSTER = 106;

/** Why no RocketMQ can be started on this machine; undefined when one can. */
export function missingTools(): string | undefined {
  return missingToolsFor(ROCKETMQ);
}

/** How a RocketMQ is set up. */
export interface EmbeddedRocketmqOptions {
  /** What its proxy shows over TLS, PEM in files; default: something made up. It takes connections in plain text too. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** Takes half as much of the processor while nobody uses it, and a message some milliseconds longer; default `false`. */
  readonly isLazy?: boolean;
}

interface Ports {
  readonly names: number;
  readonly broker: number;
  readonly copies: number;
  readonly clients: number;
  readonly remoting: number;
}

/**
 * A real RocketMQ (a broker within its proxy, and a name server) in a temporary folder, owned by this process: it can be killed, frozen and started again
 * on the same data and ports, and it does not survive the process, however that ends.
 */
export class EmbeddedRocketmq {
  /** The proxy, where clients find it, also after a restart. */
  readonly endpoint: string;
  /** The name server, which runs until the end. */
  readonly nameServer: string;
  /** The broker itself. */
  readonly broker: string;
  readonly #folder: string;
  readonly #isLazy: boolean;
  readonly #watchdog: Watchdog;
  readonly #names: JavaServer;
  readonly #proxy: JavaServer;
  /** Beside the one of the proxy. */
  readonly #brokers: JavaServer[] = [];
  #library = '';

  private constructor(ports: Ports, { tls, isLazy = false }: EmbeddedRocketmqOptions) {
    this.#isLazy = isLazy;
    this.endpoint = `127.0.0.1:${ports.clients}`;
    this.nameServer = `127.0.0.1:${ports.names}`;
    this.broker = `127.0.0.1:${ports.broker}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'holdfast-rocketmq-'));
    mkdirSync(this.#at('home/conf'), { recursive: true });
    const places = {
      listenPort: ports.broker,
      haListenPort: ports.copies,
      namesrvAddr: this.nameServer,
      storePathRootDir: this.#at('store'),
    };
    writeFileSync(this.#at('broker.conf'), propertiesOf({ ...BROKER, ...places }));
    writeFileSync(this.#at('namesrv.conf'), propertiesOf({ listenPort: ports.names, kvConfigPath: this.#at('kvConfig.json') }));
    const proxy = { ...PROXY, rocketMQClusterName: CLUSTER, grpcServerPort: ports.clients, remotingListenPort: ports.remoting };
    const shown = tls && { tlsTestModeEnable: false, tlsCertPath: tls.certFile, tlsKeyPath: tls.keyFile };
    writeFileSync(this.#at('home/conf/rmq-proxy.json'), JSON.stringify({ ...proxy, ...shown, namesrvAddr: this.nameServer }));
    this.#watchdog = new Watchdog(this.#folder);
    this.#names = this.#server('names.log');
    this.#proxy = this.#server('proxy.log');
  }

  /** Makes a new, empty broker and starts it; the first time on a machine that takes as long as Maven needs to fetch it. */
  static async start(options: EmbeddedRocketmqOptions = {}): Promise<EmbeddedRocketmq> {
    const library = await findArtifacts(ROCKETMQ);
    const [names, copies, clients, remoting] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const rocketmq = new EmbeddedRocketmq({ names, copies, clients, remoting, broker: await freePair() }, options);
    rocketmq.#library = library;
    try {
      rocketmq.#startNames();
      await rocketmq.start();
    } catch (error) {
      await rocketmq.remove();
      throw error;
    }
    return rocketmq;
  }

  /** Process id of the proxy with the broker, undefined while it is down. */
  get pid(): number | undefined {
    return this.#proxy.pid;
  }

  /** Where its data and its logs are. */
  get folder(): string {
    return this.#folder;
  }

  /** Starts it on the data and the ports it had; resolves when it answers. Does nothing when it runs. */
  async start(): Promise<void> {
    if (this.pid !== undefined) return;
    const options = ['-bc', this.#at('broker.conf'), '-pc', this.#at('home/conf/rmq-proxy.json'), '-pm', 'local', '-n', this.nameServer];
    this.#proxy.start([...MEMORY, ...OPENED, ...this.#java('proxy.ProxyStartup'), ...options], this.#home);
    await this.#until(() => this.#answers(), this.#proxy);
  }

  /** Starts another broker of the same cluster, to which no proxy leads; resolves with its address when it and the name server tell of it. */
  async addBroker(brokerName: string): Promise<string> {
    const listenPort = await freePair();
    const [settings, address] = [this.#at(`${brokerName}.conf`), `127.0.0.1:${listenPort}`];
    const places = { listenPort, haListenPort: await freePort(), namesrvAddr: this.nameServer, storePathRootDir: this.#at(brokerName) };
    writeFileSync(settings, propertiesOf({ ...BROKER, ...places, brokerName }));
    const broker = this.#server(`${brokerName}.log`);
    this.#brokers.push(broker);
    broker.start([...MEMORY, ...OPENED, ...this.#java('broker.BrokerStartup'), '-c', settings], this.#home);
    await this.#until(() => this.#isBroker(address), broker);
    return address;
  }

  /** kill -9 of proxy and broker, which are one process. The data stays; `start()` recovers it. */
  kill(): Promise<void> {
    return this.#proxy.kill();
  }

  /** Ends it in good order. The data stays. */
  stop(): Promise<void> {
    return this.#proxy.stop();
  }

  /** Lets it hang: its connections stay open, and nothing is answered. */
  freeze(): void {
    this.#proxy.signal('SIGSTOP');
  }

  /** Lets a frozen one go on. */
  thaw(): void {
    this.#proxy.signal('SIGCONT');
  }

  /** Ends it for good and deletes its data. */
  async remove(): Promise<void> {
    await Promise.all([this.#proxy, this.#names, ...this.#brokers].map((server) => server.kill()));
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    this.#watchdog.end();
  }

  #at(name: string): string {
    return join(this.#folder, name);
  }

  get #home(): Readonly<Record<string, string>> {
    return { ROCKETMQ_HOME: this.#at('home') };
  }

  #server(log: string): JavaServer {
    const changed = () => this.#watchdog.guard([this.#names, this.#proxy, ...this.#brokers].map((server) => server?.pid));
    return new JavaServer({ folder: this.#folder, log: this.#at(log), changed, isLazy: this.#isLazy });
  }

  #startNames(): void {
    this.#names.start(['-Xms64m', '-Xmx128m', ...this.#java('namesrv.NamesrvStartup'), '-c', this.#at('namesrv.conf')], this.#home);
  }

  /** Its logs go to the home of the user and the keys of its certificates to the temporary folder, wherever its own home is. */
  #java(main: string): string[] {
    const folders = [`-Duser.home=${this.#at('user')}`, `-Djava.io.tmpdir=${this.#at('home')}`];
    return [...SMALL, ...folders, '-cp', join(this.#library, '*'), `org.apache.rocketmq.${main}`];
  }

  async #until(isThere: () => Promise<boolean>, server: JavaServer): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; !(await isThere()); await sleep(100)) {
      const ended = [this.#names, server].find(({ pid }) => pid === undefined);
      if (ended !== undefined || performance.now() > end) throw new Error(`RocketMQ did not start:\n${(ended ?? server).lastLines}`);
    }
  }

  async #answers(): Promise<boolean> {
    return (await this.#isBroker(this.broker)) && !(await isFree(Number(this.endpoint.split(':')[1])));
  }

  /** An open port is not enough: topics can be made a little later. */
  async #isBroker(address: string): Promise<boolean> {
    const topic = {
      topic: 'ready',
      defaultTopic: 'TBW102',
      readQueueNums: '1',
      writeQueueNums: '1',
      perm: '6',
      topicSysFlag: '0',
      order: 'false',
    };
    try {
      const made = await invoke(address, { code: MAKE_TOPIC, fields: { ...topic, topicFilterType: 'SINGLE_TAG' } });
      const cluster = await invoke(this.nameServer, { code: TELL_CLUSTER });
      return made.code === 0 && cluster.body.includes(address);
    } catch {
      return false;
    }
  }
}

function propertiesOf(settings: Readonly<Record<string, unknown>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** A port for the broker, which takes the last but one before it too. */
async function freePair(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (await isFree(port - 2)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
