import {
  Catcher,
  describeWithOwnRocketmq,
  EmbeddedRocketmq,
  envelopeOf,
  pause,
  ROCKETMQ_START_MS,
  rocketmqAreaAt,
  specOf,
} from '@holdfast-internal/test-support';
import type { Transport } from '@holdfast/core';
import { eventually, Scene } from './rocketmq-scene.spec.js';

/** Messages of one publish. */
const BATCH = 20;

describeWithOwnRocketmq('a RocketMQ that fails', () => {
  jest.setTimeout(240_000);
  let broker: EmbeddedRocketmq;
  let scene: Scene;
  beforeAll(async () => {
    broker = await EmbeddedRocketmq.start();
  }, ROCKETMQ_START_MS);
  afterAll(() => broker?.remove());
  beforeEach(() => {
    scene = new Scene(rocketmqAreaAt(broker));
  });
  afterEach(() => scene.close());

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
    expect(await transport.publish(batch('before'))).toEqual(batch('').map(() => 'confirmed'));
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
    await eventually(
      () => transport.publish(batch('after')),
      (outcomes) => outcomes.every((outcome) => outcome === 'confirmed'),
    );
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
      expect(performance.now() - sinceMs).toBeLessThan(3000);
      await eventually(sockets, (count) => count <= before, 15_000);
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
      90_000,
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
