import type {
  Envelope,
  HandOver,
  PublishOutcome,
  Sink,
  SubscriptionSpec,
  Transport,
  TransportCapabilities,
  TransportContext,
  TransportFactory,
} from '@holdfast/core';
import { MemoryQueue } from './memory-queue.js';

/** What this transport keeps. */
export const IN_MEMORY_CAPABILITIES: TransportCapabilities = {
  persistent: false,
  readsLog: false,
  sharedSubscriptions: false,
  partitionedDelivery: true,
  fromEarliest: false,
  withoutStore: true,
};

/** For tests and first steps: everything is lost when the process ends. */
export function inMemory(): TransportFactory {
  return { transport: 'in-memory', capabilities: IN_MEMORY_CAPABILITIES, create: (context) => new InMemoryTransport(context) };
}

/** Queues in this process, one per subscription. */
class InMemoryTransport implements Transport {
  readonly capabilities = IN_MEMORY_CAPABILITIES;
  private readonly consumers: Consumer[] = [];

  constructor(private readonly context: TransportContext) {}

  get isBusy(): boolean {
    return this.consumers.some((consumer) => consumer.isBusy);
  }

  async start(): Promise<void> {
    // There is nothing to connect to.
  }

  async publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    return batch.map((envelope): PublishOutcome => {
      const wanted = this.consumers.filter(({ spec }) => spec.types.includes(envelope.type));
      for (const consumer of wanted) consumer.push(envelope, this.context.clock.now());
      return wanted.length === 0 ? 'unroutable' : 'confirmed';
    });
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    this.consumers.push(new Consumer(spec, sink));
  }

  nudge(): void {
    // Messages are pushed.
  }

  async close(timeoutMs: number): Promise<void> {
    const done = Promise.all(this.consumers.map((consumer) => consumer.stop()));
    await Promise.race([done, this.context.scheduler.sleep(timeoutMs)]);
  }
}

/** One subscription: its queues by partition, and how many of them are in work. */
class Consumer {
  private readonly queues = new Map<string, MemoryQueue>();
  private readonly tasks = new Set<Promise<void>>();
  private isStopped = false;
  private nextPlace = 0;

  constructor(
    readonly spec: SubscriptionSpec,
    private readonly sink: Sink,
  ) {}

  get isBusy(): boolean {
    return this.tasks.size > 0 || [...this.queues.values()].some((queue) => queue.length > 0);
  }

  push(envelope: Envelope, at: Date): void {
    if (this.isStopped) return;
    this.nextPlace += 1;
    // A key is a partition: its messages go through one queue, which is in work once.
    const partition = envelope.key === undefined ? '' : `key ${envelope.key}`;
    const queue = this.queues.get(partition) ?? new MemoryQueue();
    this.queues.set(partition, queue);
    queue.push(envelope, `memory/${this.nextPlace}`, at);
    this.fill();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.tasks);
  }

  private fill(): void {
    for (const [partition, queue] of this.queues) {
      // Messages without a key do not wait for each other; those of a key do.
      const isTaken = partition === '' ? queue.length === 0 : queue.isInWork || queue.length === 0;
      if (isTaken || this.isStopped) continue;
      if (this.tasks.size >= this.spec.concurrency) return;
      const task = this.work(queue).finally(() => this.done(partition, queue, task));
      this.tasks.add(task);
    }
  }

  private async work(queue: MemoryQueue): Promise<void> {
    const intake = queue.intake(this.spec.batchSize);
    let outcome: HandOver = 'worked';
    while (outcome !== 'idle' && intake.length > 0 && !this.isStopped) outcome = await this.sink.handle(intake);
    intake.giveBack();
  }

  private done(partition: string, queue: MemoryQueue, task: Promise<void>): void {
    this.tasks.delete(task);
    if (queue.length === 0 && !queue.isInWork) this.queues.delete(partition);
    this.fill();
  }
}
