import { randomUUID } from 'node:crypto';
import { Catcher, eventually, type KafkaArea, kafkaDriver, openKafka, specOf } from '@holdfast-internal/test-support';
import {
  type EventName,
  type HoldfastEvents,
  type Logger,
  type Store,
  type SubscriptionSpec,
  subscribe,
  systemClock,
  systemRandom,
  systemScheduler,
  type Transport,
} from '@holdfast/core';
import type { Message, RecordMetadata } from 'kafkajs';
import { type KafkaOptions, kafka } from './index.js';

/** Looks again and again until it is so. */

/** A store that nothing is asked of: dead letters are its. */
const STORE = {} as Store;

/** A record that is in a topic. */
interface SeenRecord {
  readonly text: string;
  readonly partition: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Transports on a real broker. */
export class Scene {
  readonly transports: Transport[] = [];
  readonly warnings: string[] = [];
  private readonly stops: (() => void)[] = [];
  readonly prefix: string;

  constructor(readonly area: KafkaArea) {
    this.prefix = area.name();
  }

  /** @param also `hasStore: false`: dead letters are the broker's */
  transport(options: Partial<KafkaOptions> = {}, { hasStore = true } = {}): Transport {
    const all = {
      brokers: [this.area.address],
      driver: kafkaDriver(),
      prefix: this.prefix,
      partitions: 2,
      sessionTimeout: Math.max(3000, this.area.sessionMs),
      ...options,
    } as const;
    const warn = (message: string) => void this.warnings.push(message);
    const logger: Logger = { info: () => undefined, warn, error: warn };
    const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger };
    const transport = kafka(all).create({ service: 'scene', nodeId: randomUUID(), store: hasStore ? STORE : undefined, ...ports });
    this.transports.push(transport);
    return transport;
  }

  /** A transport that has started and hands what it gets to a catcher. */
  async consuming(
    options: Partial<KafkaOptions> = {},
    spec: SubscriptionSpec = specOf('reader'),
    catcher: Catcher = new Catcher(spec.batchSize),
  ): Promise<{ transport: Transport; catcher: Catcher }> {
    const transport = this.transport(options, { hasStore: spec.id !== undefined });
    await transport.start({ subscriptions: [spec] });
    await transport.subscribe(spec, catcher);
    return { transport, catcher };
  }

  topicOf(type = 'scene.happened'): string {
    return `${this.prefix}${type}`;
  }

  groupOf(name = 'reader'): string {
    return `${this.prefix}scene/${name}`;
  }

  /** How far a group is, over all partitions of the topic. */
  async committed(name = 'reader', topic = this.topicOf()): Promise<number> {
    const found = await this.area.as((admin) => admin.fetchOffsets({ groupId: this.groupOf(name), topics: [topic] }));
    return (found[0]?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
  }

  /** Records of a topic, from its beginning. */
  async records(topic = this.topicOf()): Promise<readonly SeenRecord[]> {
    const [ends, consumer] = [
      await this.area.as((admin) => admin.fetchTopicOffsets(topic)),
      this.area.client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 50 }),
    ];
    const count = ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
    const found: SeenRecord[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ partition, message: { value, headers = {} } }) => {
        const texts = Object.entries(headers).map(([name, each]) => [name, String(each)]);
        found.push({ text: String(value), partition, headers: Object.fromEntries(texts) });
      },
    });
    try {
      await eventually(
        () => found.length,
        (length) => length >= count,
      );
    } finally {
      await consumer.disconnect();
    }
    return found;
  }

  /** What a producer does that knows nothing of the bus. */
  async produce(messages: Message[], topic = this.topicOf()): Promise<RecordMetadata[]> {
    const producer = this.area.client.producer();
    await producer.connect();
    try {
      return await producer.send({ topic, messages });
    } finally {
      await producer.disconnect();
    }
  }

  /** Resolves when the broker does not know it any more. */
  async deleteTopic(topic = this.topicOf()): Promise<void> {
    await this.area.as(async (admin) => {
      await admin.deleteTopics({ topics: [topic] });
      await eventually(
        () => admin.listTopics(),
        (topics) => !topics.includes(topic),
      );
    });
  }

  /** What an event tells from now on. */
  hear<Name extends EventName>(name: Name): HoldfastEvents[Name][] {
    const heard: HoldfastEvents[Name][] = [];
    this.stops.push(subscribe(name, (payload) => heard.push(payload)));
    return heard;
  }

  async leave(transport: Transport, timeoutMs = 4000): Promise<void> {
    this.transports.splice(this.transports.indexOf(transport), 1);
    await endOf(transport, timeoutMs);
  }

  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    await Promise.all(this.transports.map((transport) => endOf(transport, 4000)));
  }
}

/** Both halves of a stop. */
async function endOf(transport: Transport, timeoutMs: number): Promise<void> {
  await transport.drain(timeoutMs);
  await transport.close(timeoutMs);
}

/** Opens an area for the file, and a scene in it for each test. */
export function eachInScene(use: (scene: Scene) => void): void {
  let area: KafkaArea | undefined;
  let scene: Scene;
  beforeAll(async () => {
    area = await openKafka();
  });
  afterAll(() => area?.clear());
  beforeEach(() => {
    scene = new Scene(area as KafkaArea);
    use(scene);
  });
  afterEach(() => scene.close());
}
