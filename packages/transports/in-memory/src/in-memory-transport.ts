import {
  addressOf,
  attributesOf,
  type Envelope,
  type HandOver,
  type PublishOutcome,
  type ReceivedReply,
  type Sink,
  type SubscriptionSpec,
  type Topology,
  type Transport,
  type TransportCapabilities,
  type TransportContext,
  type TransportFactory,
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
  renamedSubscriptions: true,
  replies: true,
  addresses: true,
};

/** For tests and first steps: everything is lost when the process ends. */
export function inMemory(): TransportFactory {
  return { transport: 'in-memory', capabilities: IN_MEMORY_CAPABILITIES, create: (context) => new InMemoryTransport(context) };
}

/** Queues in this process, one per subscription. */
class InMemoryTransport implements Transport {
  readonly capabilities = IN_MEMORY_CAPABILITIES;
  readonly health = { status: 'up', problem: undefined } as const;
  private readonly consumers: Consumer[] = [];
  private readonly address: string;
  private receive: ((reply: ReceivedReply) => void) | undefined;
  private isClosed = false;

  constructor(private readonly context: TransportContext) {
    this.address = `in-memory:${context.nodeId}`;
  }

  get isBusy(): boolean {
    return this.consumers.some((consumer) => consumer.isBusy);
  }

  /** From here on a subscription keeps what is published for it, as a queue at a broker does. */
  async start({ subscriptions }: Topology): Promise<void> {
    for (const spec of subscriptions) this.consumers.push(new Consumer(spec));
  }

  async publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    return batch.map((envelope): PublishOutcome => {
      if (this.isClosed) return 'unknown';
      if (envelope.kind === 'reply') return this.reply(envelope);
      const wanted = this.consumers.filter(({ spec }) => takes(spec, envelope));
      // A row that nobody takes any more stays in the log, for the next process.
      if (this.context.store !== undefined && wanted.some(({ isStopped }) => isStopped)) return 'unknown';
      for (const consumer of wanted) consumer.push(envelope, this.context.clock.now());
      return wanted.length === 0 ? 'unroutable' : 'confirmed';
    });
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    this.consumers.find((consumer) => consumer.spec.name === spec.name)?.begin(spec, sink);
  }

  async openReplies(receive: (reply: ReceivedReply) => void): Promise<string> {
    this.receive = receive;
    return this.address;
  }

  nudge(): void {
    // Messages are pushed.
  }

  async drain(timeoutMs: number): Promise<void> {
    const done = Promise.all(this.consumers.map((consumer) => consumer.stop()));
    await Promise.race([done, this.context.scheduler.sleep(timeoutMs)]);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.receive = undefined;
  }

  private reply(envelope: Envelope): PublishOutcome {
    if (envelope.destination !== this.address || this.receive === undefined) return 'unroutable';
    this.receive({ attributes: attributesOf(envelope), body: envelope.body });
    return 'confirmed';
  }
}

/** A type is taken at the address that its class names. */
function takes({ types, addresses = types }: SubscriptionSpec, envelope: Envelope): boolean {
  return types.some((type, place) => type === envelope.type && addresses[place] === addressOf(envelope));
}

/** One subscription: its queues by partition, and how many of them are in work. */
class Consumer {
  private readonly queues = new Map<string, MemoryQueue>();
  private readonly tasks = new Set<Promise<void>>();
  isStopped = false;
  private nextPlace = 0;
  /** Undefined: nobody takes anything yet. */
  private sink: Sink | undefined;

  constructor(public spec: SubscriptionSpec) {}

  begin(spec: SubscriptionSpec, sink: Sink): void {
    this.spec = spec;
    this.sink = sink;
    this.fill();
  }

  get isBusy(): boolean {
    if (this.sink === undefined) return false;
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
    const { sink } = this;
    if (sink === undefined) return;
    for (const [partition, queue] of this.queues) {
      // Messages without a key do not wait for each other; those of a key do.
      const isTaken = partition === '' ? queue.length === 0 : queue.isInWork || queue.length === 0;
      if (isTaken || this.isStopped) continue;
      if (this.tasks.size >= this.spec.concurrency) return;
      const task = this.work(queue, sink).finally(() => this.done(partition, queue, task));
      this.tasks.add(task);
    }
  }

  private async work(queue: MemoryQueue, sink: Sink): Promise<void> {
    const intake = queue.intake(this.spec.batchSize);
    let outcome: HandOver = 'worked';
    while (outcome !== 'idle' && intake.length > 0 && !this.isStopped) outcome = await sink.handle(intake);
    intake.giveBack();
  }

  private done(partition: string, queue: MemoryQueue, task: Promise<void>): void {
    this.tasks.delete(task);
    if (queue.length === 0 && !queue.isInWork) this.queues.delete(partition);
    this.fill();
  }
}
