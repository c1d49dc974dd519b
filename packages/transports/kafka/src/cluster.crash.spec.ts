import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
import type { KafkaOptions } from './index.js';
import { Scene } from './kafka-scene.spec.js';

/**
 * Sends one message after another in each key, and the same one again until it is confirmed, as the relay does. Each load has keys of its own: what was sent to
 * a broker that hung arrives whenever that wakes, also when the load is over.
 */
class Load {
  readonly confirmed: Map<string, number>;
  private isOver = false;
  private readonly running: Promise<unknown>;

  constructor(
    private readonly transport: Transport,
    readonly keys: readonly string[],
  ) {
    this.confirmed = new Map(keys.map((key) => [key, 0]));
    this.running = Promise.all(keys.map((key) => this.run(key)));
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

/** The node that is the active controller, as a broker has it in its data: clients are told another one. */
function controllerOf([broker]: readonly EmbeddedKafka[]): number {
  const path = join(broker?.folder ?? '', 'data', '__cluster_metadata-0', 'quorum-state');
  return (JSON.parse(readFileSync(path, 'utf8')) as { readonly leaderId: number }).leaderId;
}

/** The number of the last message of a key that has arrived. */
function lastOf(texts: readonly string[], key: string): number {
  return Math.max(0, ...firstOf(texts, key));
}

describeWithOwnKafka('a cluster of Kafka that loses brokers', () => {
  let brokers: readonly EmbeddedKafka[];
  let scene: Scene;
  let all: Partial<KafkaOptions>;
  beforeAll(async () => {
    brokers = await EmbeddedKafka.startCluster(3);
    all = { brokers: brokers.map(({ address }) => address), requestTimeout: '2s', confirmTimeout: '6s', partitions: 6 };
    scene = new Scene(kafkaAreaAt(brokers[0]?.address as string));
  });
  afterAll(async () => {
    await scene?.close();
    await Promise.all((brokers ?? []).map((broker) => broker.remove()));
  });

  it('is read on while the leader of some partitions hangs, as soon as there is another one', async () => {
    const { transport, catcher } = await scene.consuming(all, specOf('other'));
    const load = new Load(transport, ['a', 'b', 'c', 'd', 'e', 'f']);
    await load.grow(60);
    // Without the group's coordinator, or the controller, Kafka itself goes on only after half a minute.
    const others = [...(await leadersOf('__consumer_offsets')), controllerOf(brokers)];
    const leaders = (await leadersOf(scene.topicOf())).filter((node) => !others.includes(node));
    const leader = brokers[(leaders[0] as number) - 1] as EmbeddedKafka;
    leader.freeze();
    try {
      const confirmed = new Map(load.confirmed);
      await eventually(
        () => load.keys.filter((key) => lastOf(catcher.texts, key) < (confirmed.get(key) ?? 0) + 5),
        (behind) => behind.length === 0,
        25_000,
      );
    } finally {
      leader.thaw();
      await load.stop();
    }
  });

  it('goes on while one after the other is killed or hangs and comes back: what was confirmed arrives, in order, and a start finds its way', async () => {
    const spec = specOf('reader', { ordering: 'key', concurrency: 4 });
    const catcher = new Catcher(spec.batchSize);
    const { transport } = await scene.consuming(all, spec, catcher);
    const load = new Load(transport, ['g', 'h', 'i', 'j', 'k', 'l']);
    await load.grow(100);
    for (const [n, broker] of brokers.entries()) {
      if (n === 0) broker.freeze();
      else await broker.kill();
      await load.grow(100);
      // Whoever starts now finds the cluster through those that are left.
      const late = scene.transport(all);
      await late.start({ subscriptions: [spec] });
      await late.close(5000);
      if (n === 0) broker.thaw();
      else await broker.start();
      await load.grow(50);
    }
    await load.stop();
    await eventually(
      () => load.keys.filter((key) => firstOf(catcher.texts, key).length < (load.confirmed.get(key) ?? 0)),
      (behind) => behind.length === 0,
    );
    for (const key of load.keys) {
      const seen = firstOf(catcher.texts, key);
      expect(seen).toEqual(seen.map((_, at) => at + 1));
    }
  });

  /** The nodes that lead its partitions. */
  async function leadersOf(topic: string): Promise<readonly number[]> {
    const { topics } = await scene.area.as((admin) => admin.fetchTopicMetadata({ topics: [topic] }));
    return topics.flatMap(({ partitions }) => partitions.map(({ leader }) => leader));
  }
});
