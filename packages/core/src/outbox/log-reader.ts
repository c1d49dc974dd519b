import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
import type { Clock } from '../time/clock.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Sink, SubscriptionSpec } from '../transport/transport.port.js';
import { CursorIntake } from './cursor-intake.js';
import type { CursorKey } from './log.store.port.js';
import { Loop } from './loop.js';
import { preferredNode } from './rendezvous.js';
import { SubscriptionReader } from './subscription-reader.js';

/** How often the processes that share the work are counted. */
const COUNT_NODES_MS = 1000;
/** A process that is not the preferred one for a lane gives that one so long to take it. */
const YIELD_MS = 20;

/** What a reader of the log works with. */
export interface LogReaderParts {
  readonly store: Pick<Store, 'cursors' | 'nodes'>;
  /** This process, a UUID. */
  readonly nodeId: string;
  /** Longest wait between two looks, in milliseconds. */
  readonly pollMs: number;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/**
 * Reads the log for subscriptions of this process: each through its own cursors, in the transaction of its handler, so place and effect are one commit.
 * What carries the messages under `database()`, and under a broker what was written before the log was moved there.
 */
export class LogReader {
  private readonly readers = new Map<number, SubscriptionReader>();
  private readonly poll: Loop;
  private nodes: readonly string[] = [];
  private countedMs = Number.NEGATIVE_INFINITY;
  private isClosed = false;

  constructor(private readonly parts: LogReaderParts) {
    const { scheduler, pollMs, logger } = parts;
    this.poll = new Loop({
      scheduler,
      pollMs,
      work: () => this.look(),
      failed: (error) => {
        emit('poll:failed', () => ({ loop: 'log', error, delayMs: pollMs }));
        logger.warn('looking at the log failed; it is tried again', { error });
      },
    });
  }

  /** True while something is in hand or known to wait. */
  get isBusy(): boolean {
    return this.poll.isBusy || [...this.readers.values()].some((reader) => reader.isBusy);
  }

  /** Begins to hand over what the log has for a subscription with an id and cursors, until `leave` or `close`. */
  read(spec: SubscriptionSpec, sink: Sink): void {
    const id = spec.id as number;
    const intakeOf = (lane: number) => new CursorIntake(this.parts.store.cursors, { subscriptionId: id, lane });
    this.readers.set(id, new SubscriptionReader(spec, sink, intakeOf));
    this.poll.start();
  }

  /** Reads no more for a subscription; waits for what is in hand. */
  async leave(subscriptionId: number): Promise<void> {
    const reader = this.readers.get(subscriptionId);
    this.readers.delete(subscriptionId);
    await reader?.stop();
    if (this.readers.size === 0) await this.poll.stop();
  }

  /** Something may have been committed: lanes that are known to have something are read without looking first; with none named it looks. */
  nudge(lanes: readonly number[]): void {
    if (this.isClosed) return;
    if (lanes.length === 0) {
      this.poll.nudge();
      return;
    }
    this.wake([...this.readers.keys()].flatMap((subscriptionId) => lanes.map((lane) => ({ subscriptionId, lane }))));
  }

  /** Takes nothing new, and waits for what is in hand, at most `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.isClosed = true;
    // The readers first: a poll that hangs must not keep them taking what is new.
    const done = Promise.all([...[...this.readers.values()].map((reader) => reader.stop()), this.poll.stop()]);
    await Promise.race([done, this.parts.scheduler.sleep(timeoutMs)]);
  }

  private async look(): Promise<boolean> {
    await this.countNodes();
    this.wake(await this.parts.store.cursors.news([...this.readers.keys()]));
    return false;
  }

  /** Hands cursors to their readers; those another process is preferred for only if it does not take them in time. */
  private wake(cursors: readonly CursorKey[]): void {
    const others: CursorKey[] = [];
    for (const cursor of cursors) {
      const reader = this.readers.get(cursor.subscriptionId);
      // What comes into a lane while it is read here finds whoever is preferred for it locked out.
      if (this.isPreferred(cursor) || reader?.isReading(cursor.lane)) reader?.wake(cursor.lane);
      else others.push(cursor);
    }
    if (others.length > 0) this.parts.scheduler.after(YIELD_MS, () => void this.wakeLeftOver(others));
  }

  private async wakeLeftOver(cursors: readonly CursorKey[]): Promise<void> {
    try {
      const idle = cursors.filter(({ subscriptionId, lane }) => this.readers.get(subscriptionId)?.isReading(lane) === false);
      for (const { subscriptionId, lane } of await this.parts.store.cursors.refresh(idle)) this.readers.get(subscriptionId)?.wake(lane);
    } catch {
      // The next look finds them.
    }
  }

  private isPreferred({ subscriptionId, lane }: CursorKey): boolean {
    return this.nodes.length <= 1 || preferredNode(this.nodes, `${subscriptionId}/${lane}`) === this.parts.nodeId;
  }

  private async countNodes(): Promise<void> {
    const nowMs = this.parts.clock.monotonicMs();
    if (nowMs - this.countedMs < COUNT_NODES_MS) return;
    this.countedMs = nowMs;
    this.nodes = await this.parts.store.nodes.live();
  }
}
