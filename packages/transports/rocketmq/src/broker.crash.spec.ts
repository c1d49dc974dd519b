import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  Authority,
  Catcher,
  describeWithOwnRocketmq,
  EmbeddedRocketmq,
  envelopeOf,
  pause,
  rocketmqAreaAt,
  specOf,
  eventually,
} from '@holdfast-internal/test-support';
import type { PublishOutcome, Transport } from '@holdfast/core';
import type { RocketmqOptions } from './index.js';
import { Scene } from './rocketmq-scene.spec.js';

/** Says what came of it. Certificates are read when gRPC is loaded: so this is a process of its own. */
const OVER_TLS = `
  const { Holdfast, Message } = require('@holdfast/core');
  const { rocketmq } = require('@holdfast/transport-rocketmq');
  class Said { constructor() { this.n = 7; } }
  Message('scene.said')(Said);
  const say = (text) => { console.log(text); process.exit(); };
  const transport = rocketmq({ ...JSON.parse(process.env.TRANSPORT), ssl: true });
  const bus = new Holdfast({ service: 'tls', transport }, { logger: { info() {}, warn() {}, error() {} } });
  bus.on(Said, ({ n }) => say('heard ' + n), { name: 'hear' });
  bus.start().then(() => bus.bus.publish(new Said())).catch((error) => say(error.code + ' ' + error.message));`;

/** Messages of one publish. */
const BATCH = 20;
const areConfirmed = (outcomes: readonly PublishOutcome[]) => outcomes.every((outcome) => outcome === 'confirmed');

describeWithOwnRocketmq('a RocketMQ that fails', () => {
  let authority: Authority | undefined;
  let broker: EmbeddedRocketmq;
  let scene: Scene;
  beforeAll(async () => {
    authority = Authority.isPossible ? Authority.make() : undefined;
    broker = await EmbeddedRocketmq.start({ tls: authority?.certificateFor('127.0.0.1') });
  });
  afterAll(async () => {
    await broker?.remove();
    authority?.remove();
  });
  beforeEach(() => {
    scene = new Scene(rocketmqAreaAt(broker));
  });
  afterEach(() => scene.close());

  const itOverTls = Authority.isPossible ? it : it.skip;
  itOverTls('speaks TLS with a service that trusts its authority, and one that does not is told why', async () => {
    const saidBy = async (trust: NodeJS.ProcessEnv, patience: Partial<RocketmqOptions> = {}) => {
      const env = { ...process.env, ...trust, TRANSPORT: JSON.stringify({ ...scene.options, ...patience }) };
      return (
        await promisify(execFile)(process.execPath, ['-e', OVER_TLS], { cwd: __dirname, env, timeout: 60_000, killSignal: 'SIGKILL' })
      ).stdout.trim();
    };
    expect(await saidBy({ GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: authority?.certFile })).toBe('heard 7');
    expect(await saidBy({}, { requestTimeout: '10s', startTimeout: '15s' })).toMatch(/^HF_BROKER_UNREACHABLE .*certificate/);
  });

  it('is killed under load and comes back: what was confirmed arrives, in order where that is wanted, and it goes on by itself', async () => {
    const { transport, catcher } = await scene.consuming({ requestTimeout: '2s', confirmTimeout: '5s' });
    const ordered = new Catcher(1);
    const spec = specOf('ordered', { ordering: 'key' });
    await scene.consuming({ requestTimeout: '2s' }, spec, ordered);
    const interruptions = scene.hear('broker:disconnected');
    const load = new Load(transport);
    await load.until(200);
    await broker.kill();
    await eventually(
      () => interruptions,
      ({ length }) => length > 0,
    );
    expect(transport.health).toMatchObject({ status: 'down', problem: expect.any(String) });
    await broker.start();
    await load.until(load.confirmed.size + 300);
    await load.stop();
    for (const each of [catcher, ordered])
      await eventually(
        () => [...load.confirmed].filter((text) => !each.texts.includes(text)),
        (missing) => missing.length === 0,
      );
    const first = [...new Set(ordered.texts)];
    for (let key = 0; key < BATCH; key += 1) {
      const ofKey = first.filter((text) => text.endsWith(`/${key}`)).map((text) => Number.parseInt(text, 10));
      expect(ofKey).toEqual([...ofKey].sort((a, b) => a - b));
    }
    await eventually(
      () => transport.health.status,
      (status) => status === 'up',
    );
  });

  it('hangs: what is published has an unknown outcome in time, health says so, and both ways go on when it does', async () => {
    const { transport, catcher } = await scene.consuming({ requestTimeout: '1s', confirmTimeout: '2500ms' });
    const batch = (name: string) => Array.from({ length: BATCH }, (_, n) => envelopeOf(`${name} ${n}`, { key: `${n}` }));
    // Its topic is made with the first of them.
    await eventually(() => transport.publish(batch('before')), areConfirmed);
    const given = scene.hear('broker:disconnected');
    broker.freeze();
    try {
      expect(await transport.publish(batch('meanwhile'))).toEqual(batch('').map(() => 'unknown'));
      await eventually(
        () => given,
        ({ length }) => length > 0,
      );
      expect(transport.health.status).toBe('down');
    } finally {
      broker.thaw();
    }
    await eventually(() => transport.publish(batch('after')), areConfirmed);
    const expected = [...batch('before'), ...batch('after')].map(({ id }) => id);
    await eventually(
      () => expected.filter((text) => !catcher.texts.includes(text)),
      (missing) => missing.length === 0,
    );
    await eventually(
      () => transport.health.status,
      (status) => status === 'up',
    );
  });

  it('hangs while its clients are closed: nothing of them keeps the process', async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    // Those of the test before are on their way out; other files may have left some for good.
    let before = sockets();
    await eventually(
      async () => {
        const last = before;
        await pause(1000);
        before = sockets();
        return before === last;
      },
      (isQuiet) => isQuiet,
    );
    const { transport } = await scene.consuming({ requestTimeout: '2s', startTimeout: '2m' });
    expect(sockets()).toBeGreaterThan(before);
    broker.freeze();
    try {
      const sinceMs = performance.now();
      await scene.leave(transport, 1000);
      expect(performance.now() - sinceMs).toBeLessThan(20_000);
      await eventually(sockets, (count) => count <= before, 30_000);
    } finally {
      broker.thaw();
    }
  });

  it('is not there for longer than anybody tries: clients are made anew until it is', async () => {
    const { transport, catcher } = await scene.consuming({ requestTimeout: '1s' });
    const interrupted = scene.hear('subscription:interrupted');
    await broker.kill();
    await eventually(
      () => interrupted,
      ({ length }) => length >= 5,
    );
    await broker.start();
    const load = new Load(transport);
    await load.until(20);
    await load.stop();
    await eventually(
      () => [...load.confirmed].filter((text) => !catcher.texts.includes(text)),
      (missing) => missing.length === 0,
    );
  });
});

/** Publishes batch after batch, each until it is confirmed, as the relay does. */
class Load {
  readonly confirmed = new Set<string>();
  private isStopping = false;
  private readonly running: Promise<void>;

  constructor(private readonly transport: Transport) {
    this.running = this.run();
  }

  async until(count: number): Promise<void> {
    await eventually(
      () => this.confirmed.size,
      (size) => size >= count,
    );
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  private async run(): Promise<void> {
    for (let n = 0; !this.isStopping; n += 1) {
      const texts = Array.from({ length: BATCH }, (_, each) => `${n}/${each}`);
      for (let left = texts; left.length > 0; ) {
        const outcomes = await this.transport.publish(left.map((text) => envelopeOf(text, { key: text.split('/')[1] })));
        for (const [at, text] of left.entries()) if (outcomes[at] === 'confirmed') this.confirmed.add(text);
        left = left.filter((text) => !this.confirmed.has(text));
        await pause(10);
      }
    }
  }
}
