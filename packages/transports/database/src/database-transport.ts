import {
  type CursorKey,
  type Duration,
  emit,
  hfError,
  Loop,
  type PublishOutcome,
  type Sink,
  type Store,
  type SubscriptionSpec,
  toMs,
  type Transport,
  type TransportCapabilities,
  type TransportContext,
  type TransportFactory,
} from '@holdfast/core';
import { CursorIntake } from './cursor-intake.js';
import { preferredNode } from './rendezvous.js';
import { SubscriptionReader } from './subscription-reader.js';

/** What this transport keeps. */
export const DATABASE_CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: true,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: false,
};

/** Longest wait between two looks at the lanes, unless the option says otherwise. */
const DEFAULT_POLL: Duration = '1s';
/** How often the processes that share the work are counted. */
const COUNT_NODES_MS = 1000;
/** A process that is not the preferred one for a lane gives that one so long to take it. */
const YIELD_MS = 20;

/** Options of `database`. */
export interface DatabaseOptions {
  /** Longest wait between two looks; default '1s'. Commits are told to other processes at once, so this is only for hints that got lost. */
  pollInterval?: Duration;
}

/**
 * No broker: the store's database carries the messages. A subscription reads the log itself, in the transaction of its handler, so place and
 * effect are one commit.
 *
 * **Guarantee:** as every transport, and one effect per row also without an inbox. **Not promised:** more handlers of one subscription at work
 * than the log has lanes.
 */
export function database(options: DatabaseOptions = {}): TransportFactory {
  const pollMs = toMs(options.pollInterval ?? DEFAULT_POLL, 'database({ pollInterval })');
  return {
    transport: 'database',
    capabilities: DATABASE_CAPABILITIES,
    create: (context) => {
      if (context.store === undefined)
        throw hfError('HF_CAPABILITY_UNSUPPORTED', {
          feature: 'the database transport',
          provider: 'a bus without a store; add store: typeorm()',
        });
      return new DatabaseTransport(context, context.store, pollMs);
    },
  };
}

/** Reads the log for all subscriptions of this process. */
class DatabaseTransport implements Transport {
  readonly capabilities = DATABASE_CAPABILITIES;
  private readonly readers = new Map<number, SubscriptionReader>();
  private readonly poll: Loop;
  private nodes: readonly string[] = [];
  private countedMs = Number.NEGATIVE_INFINITY;
  private isClosed = false;

  constructor(
    private readonly context: TransportContext,
    private readonly store: Store,
    pollMs: number,
  ) {
    this.poll = new Loop({
      scheduler: context.scheduler,
      pollMs,
      work: () => this.look(),
      failed: (error) => {
        emit('poll:failed', () => ({ loop: 'log', error, delayMs: pollMs }));
        context.logger.warn('looking at the log failed; it is tried again', { error });
      },
    });
  }

  get isBusy(): boolean {
    return this.poll.isBusy || [...this.readers.values()].some((reader) => reader.isBusy);
  }

  async start(): Promise<void> {
    this.nodes = await this.store.nodes.live();
  }

  /** The log is where messages already are. */
  async publish(): Promise<readonly PublishOutcome[]> {
    throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'publishing past the outbox', provider: 'the database transport' });
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    const id = spec.id as number;
    const intakeOf = (lane: number) => new CursorIntake(this.store.cursors, { subscriptionId: id, lane });
    this.readers.set(id, new SubscriptionReader(spec, sink, intakeOf));
    this.poll.start();
  }

  /** Lanes that are known to have something are read without looking first. */
  nudge(lanes: readonly number[]): void {
    if (this.isClosed) return;
    if (lanes.length === 0) {
      this.poll.nudge();
      return;
    }
    this.wake([...this.readers.keys()].flatMap((subscriptionId) => lanes.map((lane) => ({ subscriptionId, lane }))));
  }

  async close(timeoutMs: number): Promise<void> {
    this.isClosed = true;
    // The readers first: a poll that hangs must not keep them taking what is new.
    const done = Promise.all([...[...this.readers.values()].map((reader) => reader.stop()), this.poll.stop()]);
    await Promise.race([done, this.context.scheduler.sleep(timeoutMs)]);
  }

  private async look(): Promise<boolean> {
    await this.countNodes();
    this.wake(await this.store.cursors.news([...this.readers.keys()]));
    return false;
  }

  /** Hands cursors to their readers; those another process is preferred for only if it does not take them in time. */
  private wake(cursors: readonly CursorKey[]): void {
    const others: CursorKey[] = [];
    for (const cursor of cursors) {
      if (this.isPreferred(cursor)) this.readers.get(cursor.subscriptionId)?.wake(cursor.lane);
      else others.push(cursor);
    }
    if (others.length > 0) this.context.scheduler.after(YIELD_MS, () => void this.wakeLeftOver(others));
  }

  private async wakeLeftOver(cursors: readonly CursorKey[]): Promise<void> {
    try {
      const idle = cursors.filter(({ subscriptionId, lane }) => this.readers.get(subscriptionId)?.isReading(lane) === false);
      for (const { subscriptionId, lane } of await this.store.cursors.refresh(idle)) this.readers.get(subscriptionId)?.wake(lane);
    } catch {
      // The next look finds them.
    }
  }

  private isPreferred({ subscriptionId, lane }: CursorKey): boolean {
    return this.nodes.length <= 1 || preferredNode(this.nodes, `${subscriptionId}/${lane}`) === this.context.nodeId;
  }

  private async countNodes(): Promise<void> {
    const nowMs = this.context.clock.monotonicMs();
    if (nowMs - this.countedMs < COUNT_NODES_MS) return;
    this.countedMs = nowMs;
    this.nodes = await this.store.nodes.live();
  }
}
