import {
  Catcher,
  describeWithOwnKafka,
  EmbeddedKafka,
  envelopeOf,
  kafkaAreaAt,
  kafkaDriver,
  pause,
  specOf,
  eventually,
} from '@holdfast-internal/test-support';
import type { PublishOutcome, Transport } from '@holdfast/core';
import { Scene } from './kafka-scene.spec.js';

/** Messages of one publish. */
const BATCH = 20;
const areConfirmed = (outcomes: readonly PublishOutcome[]) => outcomes.every((outcome) => outcome === 'confirmed');

describeWithOwnKafka('a Kafka that fails', () => {
  let kafka: EmbeddedKafka;
  let scene: Scene;
  beforeAll(async () => {
    kafka = await EmbeddedKafka.start();
  });
  afterAll(() => kafka?.remove());
  beforeEach(() => {
    scene = new Scene(kafkaAreaAt(kafka.address));
  });
  afterEach(() => scene.close());

  it('is killed under load and comes back: what was confirmed arrives, and it goes on by itself', async () => {
    const { transport, catcher } = await scene.consuming({ requestTimeout: '2s', confirmTimeout: '5s' });
    const interruptions = scene.hear('broker:disconnected');
    const load = new Load(transport);
    await load.until(200);
    await kafka.kill();
    await eventually(
      () => interruptions,
      ({ length }) => length > 0,
    );
    await kafka.start();
    await load.until(load.confirmed.size + 300);
    await load.stop();
    const arrived = () => new Set(catcher.texts);
    await eventually(
      () => [...load.confirmed].filter((text) => !arrived().has(text)),
      (missing) => missing.length === 0,
    );
    await eventually(
      () => transport.health.status,
      (status) => status === 'up',
    );
  });

  it('hangs: what is published has an unknown outcome in time, and what is confirmed when it goes on is there', async () => {
    const transport = scene.transport({ requestTimeout: '1s', confirmTimeout: '2500ms', partitions: 1 });
    await transport.start({ subscriptions: [] });
    const batch = (name: string) => Array.from({ length: BATCH }, (_, n) => envelopeOf(`${name} ${n}`, { key: 'k' }));
    // Its topic is made with the first of them.
    await eventually(() => transport.publish(batch('before')), areConfirmed);
    const given = scene.hear('broker:disconnected');
    kafka.freeze();
    try {
      expect(await transport.publish(batch('meanwhile'))).toEqual(batch('').map(() => 'unknown'));
      await eventually(
        () => given,
        ({ length }) => length > 0,
      );
    } finally {
      kafka.thaw();
    }
    const published = await eventually(() => transport.publish(batch('after')), areConfirmed);
    expect(published).toHaveLength(BATCH);
    const texts = new Set((await scene.records()).map(({ text }) => text));
    for (const { id } of [...batch('before'), ...batch('after')]) expect(texts).toContain(id);
  });

  it('hangs while it is consumed: health says so, and reading goes on when it does', async () => {
    const { transport, catcher } = await scene.consuming({ requestTimeout: '1s', confirmTimeout: '5s', sessionTimeout: '1s' });
    const load = new Load(transport);
    await load.until(50);
    kafka.freeze();
    try {
      await eventually(
        () => transport.health.status,
        (status) => status === 'down',
      );
      await pause(4000);
    } finally {
      kafka.thaw();
    }
    await load.until(load.confirmed.size + 50);
    await load.stop();
    await eventually(
      () => [...load.confirmed].filter((text) => !catcher.texts.includes(text)),
      (missing) => missing.length === 0,
    );
    await eventually(
      () => transport.health.status,
      (status) => status === 'up',
    );
  });

  // Those of librdkafka are not Node's.
  (kafkaDriver() === 'kafkajs' ? it : it.skip)('hangs while its clients are closed: nothing of them keeps the process', async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    // Those of the test before are on their way out; those of other files in this process may stay.
    let others = sockets();
    for (let last = Number.NaN; last !== others; others = sockets()) {
      last = others;
      await pause(2000);
    }
    const { transport } = await scene.consuming({ requestTimeout: '1m', startTimeout: '2m' });
    expect(sockets()).toBeGreaterThan(others);
    kafka.freeze();
    try {
      await scene.leave(transport, 1000);
      await eventually(sockets, (count) => count <= others, 30_000);
    } finally {
      kafka.thaw();
    }
  });

  it('is not there for longer than anybody tries: consumers are made anew until it is', async () => {
    const { transport, catcher } = await scene.consuming({ requestTimeout: '1s', sessionTimeout: '1s' }, specOf('reader'), new Catcher(1));
    const interrupted = scene.hear('subscription:interrupted');
    await kafka.kill();
    await eventually(
      () => interrupted,
      ({ length }) => length >= 2,
    );
    expect(transport.health).toMatchObject({ status: 'down', problem: expect.any(String) });
    await kafka.start();
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
        const outcomes = await this.transport.publish(left.map((text) => envelopeOf(text, { key: text })));
        for (const [at, text] of left.entries()) if (outcomes[at] === 'confirmed') this.confirmed.add(text);
        left = left.filter((text) => !this.confirmed.has(text));
        await pause(10);
      }
    }
  }
}
