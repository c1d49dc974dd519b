import {
  Catcher,
  describeWithOwnKafka,
  EmbeddedKafka,
  envelopeOf,
  eventually,
  kafkaAreaAt,
  pause,
  specOf,
} from '@holdfast-internal/test-support';
import type { PublishOutcome, Transport } from '@holdfast/core';
import { Scene } from './kafka-scene.spec.js';

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];

/** Sends one message after another in each key, and the same one again until it is confirmed, as the relay does. */
class Load {
  readonly confirmed = new Map(KEYS.map((key) => [key, 0]));
  private isOver = false;
  private readonly running: Promise<unknown>;

  constructor(private readonly transport: Transport) {
    this.running = Promise.all(KEYS.map((key) => this.run(key)));
  }

  get total(): number {
    return [...this.confirmed.values()].reduce((sum, count) => sum + count, 0);
  }

  async grow(by: number): Promise<void> {
    const goal = this.total + by;
    await eventually(
      () => this.total,
      (total) => total >= goal,
    );
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await this.running;
  }

  private async run(key: string): Promise<void> {
    for (let n = 1; !this.isOver; n += 1) {
      const envelope = envelopeOf(`${key} ${n}`, { key });
      let outcome: PublishOutcome | undefined;
      while (outcome !== 'confirmed' && !this.isOver) [outcome] = await this.transport.publish([envelope]);
      if (outcome === 'confirmed') this.confirmed.set(key, n);
      await pause(20);
    }
  }
}

/** The first appearance of each message, key by key: repeats are the inbox's to drop. */
function firstOf(texts: readonly string[], key: string): readonly number[] {
  const numbers = texts.filter((text) => text.startsWith(`${key} `)).map((text) => Number(text.split(' ')[1]));
  return numbers.filter((n, at) => numbers.indexOf(n) === at);
}

describeWithOwnKafka('a cluster of Kafka that loses brokers', () => {
  let brokers: readonly EmbeddedKafka[];
  let scene: Scene;
  beforeAll(async () => {
    brokers = await EmbeddedKafka.startCluster(3);
    scene = new Scene(kafkaAreaAt(brokers[0]?.address as string));
  });
  afterAll(async () => {
    await scene?.close();
    await Promise.all((brokers ?? []).map((broker) => broker.remove()));
  });

  it('goes on while one after the other is killed or hangs and comes back: what was confirmed arrives, in order, and a start finds its way', async () => {
    const all = { brokers: brokers.map(({ address }) => address), requestTimeout: '2s', confirmTimeout: '6s', partitions: 6 } as const;
    const spec = specOf('reader', { ordering: 'key', concurrency: 4 });
    const catcher = new Catcher(spec.batchSize);
    const { transport } = await scene.consuming(all, spec, catcher);
    const load = new Load(transport);
    await load.grow(100);
    for (const [n, broker] of brokers.entries()) {
      if (n === 1) broker.freeze();
      else await broker.kill();
      await load.grow(100);
      // Whoever starts now finds the cluster through those that are left.
      const late = scene.transport(all);
      await late.start({ subscriptions: [spec] });
      await late.close(5000);
      if (n === 1) broker.thaw();
      else await broker.start();
      await load.grow(50);
    }
    await load.stop();
    await eventually(
      () => KEYS.filter((key) => firstOf(catcher.texts, key).length < (load.confirmed.get(key) ?? 0)),
      (behind) => behind.length === 0,
    );
    for (const key of KEYS) {
      const seen = firstOf(catcher.texts, key);
      expect(seen).toEqual(seen.map((_, at) => at + 1));
    }
  });
});
