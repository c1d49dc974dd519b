import { emit, Loop, type SubscriptionLag, type SubscriptionSpec, type TransportContext } from '@holdfast/core';
import type { KafkaAdmin, KafkaClient, LeaderlessPartition, PartitionEnds, Position } from './client.port.js';
import type { Names } from './names.js';
import type { Settings } from './settings.js';

/** What a watch works with. */
export interface LagWatchParts {
  readonly context: Pick<TransportContext, 'clock' | 'random' | 'scheduler' | 'logger'>;
  readonly settings: Pick<Settings, 'requestTimeoutMs'>;
  /** Between two rounds. */
  readonly intervalMs: number;
  readonly client: Pick<KafkaClient, 'administer'>;
  readonly names: Names;
}

/** A subscription that could not be counted, and why. */
interface Failure {
  readonly subscription: string;
  readonly error: unknown;
}

/**
 * Counts now and then how far subscriptions are behind, one after another and beside everything else: nobody waits for it. What it cannot learn it says once, and
 * keeps what it knew. A count that has taken as long as a request may take goes on with the next round, where it was left.
 */
export class LagWatch {
  /** Those that were not counted for longest come first. */
  private readonly specs: SubscriptionSpec[] = [];
  private readonly found = new Map<string, SubscriptionLag>();
  private readonly loop: Loop;
  private isFirst = true;
  private isStopped = false;
  private isFailing = false;

  constructor(private readonly parts: LagWatchParts) {
    const { context, intervalMs } = parts;
    const failed = (error: unknown) => this.failed(error);
    this.loop = new Loop({ scheduler: context.scheduler, pollMs: intervalMs, work: () => this.round(), failed });
  }

  /** As they were counted last, by name; undefined as long as none was. */
  get lags(): readonly SubscriptionLag[] | undefined {
    if (this.found.size === 0) return undefined;
    return [...this.found.values()].sort((one, other) => (one.subscription < other.subscription ? -1 : 1));
  }

  add(spec: SubscriptionSpec): void {
    if (this.isStopped) return;
    this.specs.push(spec);
    if (this.specs.length === 1) this.loop.start();
  }

  /** Resolves when nothing is asked any more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.loop.stop();
  }

  /** The first one waits for a part of the interval: processes start together, and have other things to do then. */
  private async round(): Promise<boolean | number> {
    const { context, intervalMs } = this.parts;
    if (this.isFirst) {
      this.isFirst = false;
      return context.random.next() * intervalMs;
    }
    try {
      const [failure] = await this.countAll();
      if (failure === undefined) this.isFailing = false;
      else this.failed(failure.error, failure.subscription);
    } catch (error) {
      this.failed(error);
    }
    return false;
  }

  /**
   * An admin of kafkajs asks with each topic for all those before it, and of one partition without a leader it learns nothing of any of them: so behind a failure comes another admin.
   *
   * @throws what keeps an admin from being opened, and nothing that is to do with a single subscription: a driver begins with another broker then
   */
  private async countAll(): Promise<readonly Failure[]> {
    const { context, settings, client } = this.parts;
    const endMs = context.clock.monotonicMs() + settings.requestTimeoutMs;
    const left = [...this.specs];
    const failures: Failure[] = [];
    const isOver = () => this.isStopped || context.clock.monotonicMs() > endMs;
    const next = () => (isOver() ? undefined : left.shift());
    while (left.length > 0 && !isOver()) {
      const failure = await client.administer((admin) => this.countUntilFailure(admin, next));
      if (failure !== undefined) failures.push(failure);
    }
    return failures;
  }

  private async countUntilFailure(admin: KafkaAdmin, next: () => SubscriptionSpec | undefined): Promise<Failure | undefined> {
    for (let spec = next(); spec !== undefined; spec = next()) {
      this.specs.push(...this.specs.splice(this.specs.indexOf(spec), 1));
      try {
        await this.count(admin, spec);
      } catch (error) {
        return { subscription: spec.name, error };
      }
    }
    return undefined;
  }

  private async count(admin: KafkaAdmin, spec: SubscriptionSpec): Promise<void> {
    const { context, names } = this.parts;
    const ends: (PartitionEnds | LeaderlessPartition)[] = [];
    for (const topic of names.topicsOf(spec)) {
      if (this.isStopped) return;
      ends.push(...(await admin.ends(topic)));
    }
    if (this.isStopped) return;
    const positions = await admin.positions(
      names.groupOf(spec),
      ends.filter(hasEnds).map(({ topic, partition }) => ({ topic, partition })),
    );
    const lag = { ...lagIn(ends, positions), subscription: spec.name, at: context.clock.now() };
    this.found.set(spec.name, lag);
    emit('subscription:lag', lag);
  }

  private failed(error: unknown, subscription?: string): void {
    if (!this.isFailing && !this.isStopped)
      this.parts.context.logger.warn('how far subscriptions are behind could not be counted; it is tried again', { subscription, error });
    this.isFailing = true;
  }
}

/**
 * How much of what partitions have is not read. Where a group stands nowhere, or at a record that was deleted, it will read from the beginning; ends that are older
 * than the position are behind it.
 */
export function lagIn(
  ends: readonly (PartitionEnds | LeaderlessPartition)[],
  positions: readonly Position[],
): Pick<SubscriptionLag, 'messages' | 'most' | 'unknown'> {
  const known = ends.filter(hasEnds).map(({ topic, partition, first, next }) => {
    const stands = positions.find((position) => position.topic === topic && position.partition === partition)?.offset ?? first;
    const messages = Math.max(0, Math.min(Number(next - first), Number(next - stands)));
    return { place: `${topic}/${partition}`, messages };
  });
  const most = known.reduce<SubscriptionLag['most']>((found, each) => (each.messages > (found?.messages ?? 0) ? each : found), undefined);
  return { messages: known.reduce((sum, { messages }) => sum + messages, 0), most, unknown: ends.length - known.length };
}

function hasEnds(found: PartitionEnds | LeaderlessPartition): found is PartitionEnds {
  return found.next !== undefined;
}
