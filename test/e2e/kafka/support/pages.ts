// Page views go in, one count for each comes out: in Kafka transactions, and read as a stranger would.
import { randomUUID } from 'node:crypto';
import { eventually, type KafkaArea, kafkaDriver } from '@holdfast-internal/test-support';
import { type CommonOptions, type Delivery, Holdfast, type HandlerPolicies, type Logger, Message, type Runtime } from '@holdfast/core';
import { kafka, type KafkaOptions } from '@holdfast/transport-kafka';

@Message('page.viewed')
export class PageViewed {
  constructor(readonly n: number) {}
}

@Message('page.counted')
export class PageCounted {
  constructor(
    readonly n: number,
    readonly attempt: number,
  ) {}
}

/** A record of a topic, as it is read by who reads only what is committed. */
export interface SeenRecord {
  readonly text: string;
  readonly key: string | undefined;
  readonly partition: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Counting processes over one Kafka, under a prefix that nobody else has. */
export class Pages {
  /** Of each topic. */
  partitions = 3;
  readonly warnings: string[] = [];
  readonly prefix: string;
  private readonly apps: Holdfast[] = [];

  constructor(readonly area: KafkaArea) {
    this.prefix = area.name();
  }

  get transport(): KafkaOptions {
    return {
      brokers: [this.area.address],
      driver: kafkaDriver(),
      prefix: this.prefix,
      partitions: this.partitions,
      sessionTimeout: Math.max(3000, this.area.sessionMs),
      requestTimeout: '3s',
      confirmTimeout: '5s',
    };
  }

  app(options: Partial<CommonOptions> = {}, transport: Partial<KafkaOptions> = {}, runtime: Partial<Runtime> = {}): Holdfast {
    const warn = (message: string, fields?: Readonly<Record<string, unknown>>) =>
      void this.warnings.push(`${message} ${String(fields?.error ?? '')}`.trim());
    const logger: Logger = { info: () => undefined, warn, error: warn };
    const app = new Holdfast(
      { service: 'analytics', transport: kafka({ ...this.transport, ...transport }), ...options },
      { logger, ...runtime },
    );
    this.apps.push(app);
    return app;
  }

  /** Counts views; started. */
  async counting(
    handle: (event: PageViewed, delivery: Delivery, app: Holdfast) => unknown = ({ n }, { attempt }, app) => this.count(app, n, attempt),
    policies: Partial<HandlerPolicies<PageViewed>> = {},
    app = this.app(),
  ): Promise<Holdfast> {
    app.on(PageViewed, (event, delivery) => handle(event, delivery, app), {
      name: 'count',
      from: 'earliest',
      transactional: { protocol: 'kafka' },
      retry: { attempts: 3, backoff: { delay: '10ms', jitter: 'none' } },
      ...policies,
    } as HandlerPolicies<PageViewed>);
    await app.start();
    return app;
  }

  async count(app: Holdfast, n: number, attempt: number): Promise<void> {
    await app.bus.publish(new PageCounted(n, attempt), { key: `host ${n % 7}` });
  }

  /** Publishes views from a service of its own, each once: it has no store, so what is not confirmed in time is published again, and is counted again, rightly. */
  async view(count: number, { from = 1, key = (n: number) => `page ${n % 11}` } = {}): Promise<void> {
    const till = this.app({ service: 'web' }, { requestTimeout: '60s', confirmTimeout: '60s' });
    await till.start();
    await Promise.all(
      Array.from({ length: count }, (_, index) => till.bus.publish(new PageViewed(from + index), { key: key(from + index) })),
    );
    await this.leave(till);
  }

  topicOf(type: string): string {
    return `${this.prefix}${type}`;
  }

  get deadLetters(): string {
    return `${this.prefix}-dead.analytics.count`;
  }

  get group(): string {
    return `${this.prefix}analytics/count`;
  }

  get viewed(): string {
    return this.topicOf('page.viewed');
  }

  /** What stands beside the offset of the first partition. */
  async note(): Promise<string> {
    const [found] = await this.area.as((admin) => admin.fetchOffsets({ groupId: this.group, topics: [this.viewed] }));
    return found?.partitions.find(({ partition }) => partition === 0)?.metadata ?? '';
  }

  /** How far the group is, over all partitions. */
  async committed(): Promise<number> {
    const found = await this.area.as((admin) => admin.fetchOffsets({ groupId: this.group, topics: [this.viewed] }));
    return (found[0]?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
  }

  /** Until the group is so far, and not further: what was handled is visible before its offset is. */
  async untilCommitted(offset: number): Promise<void> {
    await eventually(
      () => this.committed(),
      (committed) => committed >= offset,
    );
    expect(await this.committed()).toBe(offset);
  }

  /** Records of a topic whose transactions have committed, as soon as there are so many and no more come. */
  async records(type: string, count: number): Promise<readonly SeenRecord[]> {
    const topic = type.startsWith(this.prefix) ? type : this.topicOf(type);
    const found: SeenRecord[] = [];
    await eventually(
      () => this.area.as((admin) => admin.listTopics()),
      (topics) => topics.includes(topic),
    );
    const consumer = this.area.client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 50 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ partition, message: { key, value, headers = {} } }) => {
        const texts = Object.entries(headers).map(([name, each]) => [name, String(each)]);
        found.push({ text: String(value), key: key?.toString(), partition, headers: Object.fromEntries(texts) });
      },
    });
    try {
      await eventually(
        () => found.length,
        (length) => length >= count,
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      return found;
    } finally {
      await consumer.disconnect();
    }
  }

  /** Which views were counted, in order; the same one twice when it was counted twice. Read by a service of its own: plain kafkajs shows some of what was undone. */
  async counted(count: number): Promise<readonly number[]> {
    const found = new Map<string, number>();
    const auditor = this.app({ service: `auditor ${randomUUID()}` });
    auditor.on(PageCounted, ({ n }, { id }) => void found.set(id, n), { name: 'audit', from: 'earliest' });
    await auditor.start();
    await eventually(
      () => new Set(found.values()).size,
      (size) => size >= count,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    await this.leave(auditor);
    return [...found.values()].sort((a, b) => a - b);
  }

  async leave(app: Holdfast): Promise<void> {
    this.apps.splice(this.apps.indexOf(app), 1);
    await app.stop({ timeout: '4s' });
  }

  async close(): Promise<void> {
    await Promise.all(this.apps.splice(0).map((app) => app.stop({ timeout: '2s' })));
  }
}
