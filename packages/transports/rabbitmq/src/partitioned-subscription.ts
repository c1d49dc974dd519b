import {
  brokerInReach,
  PartLeases,
  Permits,
  type StartTerms,
  type SubscriptionSpec,
  type TransportContext,
  type TransportHealth,
} from '@holdfast/core';
import type { Consumer } from './consumer.js';

/** What a partitioned subscription works with. */
export interface PartitionedParts {
  readonly context: TransportContext;
  readonly spec: SubscriptionSpec;
  /** Under which its partitions are leased. */
  readonly scope: string;
  readonly count: number;
  readonly terms: StartTerms;
  /** Of the connection that consumes. */
  readonly health: () => TransportHealth;
  /** A consumer of one partition, whose hand-overs wait for a permit. */
  readonly consumerOf: (partition: number, permits: Permits) => Consumer;
}

/** A consumer, and what proved that its partition was ours when it began. */
interface Owned {
  readonly consumer: Consumer;
  readonly ownerToken: string | undefined;
}

/**
 * A subscription with `ordering: 'key'`: a consumer for each partition that is this process's by a lease in the store. A partition goes to another process
 * when what is in work has ended, and the rest goes back in order.
 */
export class PartitionedSubscription {
  private readonly leases: PartLeases;
  private readonly consumers = new Map<number, Owned>();
  private readonly permits: Permits;
  private isStopping = false;

  constructor(private readonly parts: PartitionedParts) {
    const { context, scope, count, spec, health } = parts;
    const { nodeId, clock, scheduler, logger, store } = context;
    if (store === undefined) throw new Error('an ordered subscription needs a store');
    this.permits = new Permits(spec.concurrency);
    this.leases = new PartLeases({
      store: store.leases,
      scope,
      count,
      nodeId,
      clock,
      scheduler,
      logger,
      isAble: brokerInReach(health, clock),
      changed: () => this.follow(),
      handOver: (partition) => this.handOver(partition),
    });
  }

  get isBusy(): boolean {
    return [...this.consumers.values()].some(({ consumer }) => consumer.isBusy);
  }

  /** Takes its share of the partitions; resolves when the broker has accepted the first consumers. */
  async start(): Promise<void> {
    await this.leases.start();
  }

  /** Ends what is in work, and gives all partitions to others. */
  async drain(): Promise<void> {
    this.isStopping = true;
    await Promise.all([...this.consumers.values()].map(({ consumer }) => consumer.drain()));
    await this.leave();
  }

  /** Lets go of everything. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all([...this.consumers.values()].map(({ consumer }) => consumer.stop()));
    await this.leave();
  }

  /** With the store away, the leases end by themselves. */
  private async leave(): Promise<void> {
    const { logger } = this.parts.context;
    await this.leases
      .stop()
      .catch((error: unknown) => logger.warn('partitions could not be given back; they are free in a few seconds', { error }));
  }

  /** Partitions came or went. One that went and came back is another one: a consumer that is on its way out stays so. */
  private follow(): void {
    for (const [partition, { consumer, ownerToken }] of this.consumers) {
      if (ownerToken !== undefined && this.leases.ownerToken(partition) === ownerToken) continue;
      this.consumers.delete(partition);
      void consumer.stop();
    }
    if (!this.isStopping) for (const partition of this.leases.mine()) if (!this.consumers.has(partition)) this.open(partition);
  }

  private open(partition: number): void {
    const consumer = this.parts.consumerOf(partition, this.permits);
    this.consumers.set(partition, { consumer, ownerToken: this.leases.ownerToken(partition) });
    // It goes on trying, and says so.
    consumer.start(this.parts.terms).catch(() => undefined);
  }

  private async handOver(partition: number): Promise<void> {
    const owned = this.consumers.get(partition);
    await owned?.consumer.drain();
    // It may have been lost meanwhile, and come back with a consumer of its own.
    if (this.consumers.get(partition) === owned) this.consumers.delete(partition);
  }
}
