import type { Logger } from '../monitoring/logger.js';
import { emit } from '../monitoring/events.js';
import { Loop } from '../outbox/loop.js';
import { failpoint } from '../testing/failpoints.js';
import type { Scheduler } from '../time/scheduler.js';
import type { DeliveryStore } from './delivery.store.port.js';
import type { HandOver } from '../transport/transport.port.js';
import type { Intake } from './intake.port.js';
import type { Pipeline } from './pipeline.js';

const POLL_MS = 1000;
/** Stored deliveries of one subscription in work at once, at most: they share its connections with what is new. */
const MAX_AT_ONCE = 4;
/** A counted delivery is begun within this time, or another process counts it: whoever began holds it by a lock, or renews its lease. */
const BEGIN_MS = 5000;

/** Hands stored deliveries over when they are due, to their own subscription only. */
export class RetryRunner {
  private readonly loop: Loop;
  private readonly running = new Map<number, number>();
  private readonly tasks = new Set<Promise<void>>();
  private readonly failed: (error: unknown) => void;
  private isWithSuspects = false;
  private isStopping = false;

  constructor(
    private readonly store: DeliveryStore,
    private readonly pipelines: ReadonlyMap<number, Pipeline>,
    { scheduler, logger }: { readonly scheduler: Scheduler; readonly logger: Logger },
  ) {
    this.failed = (error) => {
      emit('poll:failed', { loop: 'stored deliveries', error, delayMs: POLL_MS });
      logger.warn('looking for stored deliveries failed; it is tried again', { error });
    };
    this.loop = new Loop({ scheduler, pollMs: POLL_MS, work: () => this.look(), failed: this.failed });
  }

  get isBusy(): boolean {
    return this.loop.isBusy || this.tasks.size > 0;
  }

  start(): void {
    if (this.pipelines.size > 0) this.loop.start();
  }

  /** A delivery was stored. */
  nudge(): void {
    this.loop.nudge();
  }

  /** Takes nothing new, and waits for what is in hand. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.loop.stop();
    await Promise.all(this.tasks);
  }

  /** Starts what is due; milliseconds until the next is. */
  private async look(): Promise<number | false> {
    const due = await this.store.due([...this.pipelines.keys()]);
    for (const [id, { ms }] of due) if (ms === 0) this.launch(id);
    this.launchSuspects([...due].filter(([, { suspectMs }]) => suspectMs === 0).map(([id]) => id));
    const later = [...due.values()].flatMap(({ ms, suspectMs }) => [ms, suspectMs]).filter((ms) => ms !== undefined && ms > 0) as number[];
    return later.length > 0 ? Math.min(...later) : false;
  }

  private launch(id: number): void {
    const pipeline = this.pipelines.get(id);
    const running = this.running.get(id) ?? 0;
    if (pipeline === undefined || running >= Math.min(MAX_AT_ONCE, pipeline.subscription.spec.concurrency)) return;
    this.running.set(id, running + 1);
    this.track(this.drain(pipeline), () => this.running.set(id, (this.running.get(id) ?? 1) - 1));
  }

  /**
   * One at a time in this process, of all subscriptions, and counted first: a message that ends the process is known by its count, and no other
   * one is counted with it.
   */
  private launchSuspects(ids: readonly number[]): void {
    if (ids.length === 0 || this.isWithSuspects) return;
    this.isWithSuspects = true;
    this.track(this.drainSuspects(ids), () => {
      this.isWithSuspects = false;
    });
  }

  private async drainSuspects(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      const pipeline = this.pipelines.get(id);
      if (pipeline !== undefined) await this.drain(pipeline, () => this.count(id));
    }
  }

  private async count(id: number): Promise<Intake | undefined> {
    const intake = await this.store.countSuspect(id, BEGIN_MS);
    failpoint('count:after-record');
    return intake;
  }

  private track(work: Promise<void>, done: () => void): void {
    const task = work.catch(this.failed).finally(() => {
      done();
      this.tasks.delete(task);
    });
    this.tasks.add(task);
  }

  private async drain(
    pipeline: Pipeline,
    look = async (): Promise<Intake | undefined> => this.store.intake(idOf(pipeline)),
  ): Promise<void> {
    let outcome: HandOver = 'worked';
    while (outcome === 'worked' && !this.isStopping) outcome = await pipeline.handleNext(look);
    // A look may have been refused while we were at work.
    this.loop.nudge();
  }
}

function idOf({ subscription }: Pipeline): number {
  return subscription.spec.id as number;
}
