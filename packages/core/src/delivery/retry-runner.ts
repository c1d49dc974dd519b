import type { Logger } from '../monitoring/logger.js';
import { emit } from '../monitoring/events.js';
import { Loop } from '../outbox/loop.js';
import type { Scheduler } from '../time/scheduler.js';
import type { DeliveryStore } from './delivery.store.port.js';
import type { Pipeline } from './pipeline.js';

const POLL_MS = 1000;
/** Stored deliveries of one subscription in work at once, at most: they share its connections with what is new. */
const MAX_AT_ONCE = 4;

/** Hands stored deliveries over when they are due, to their own subscription only. */
export class RetryRunner {
  private readonly loop: Loop;
  private readonly running = new Map<number, number>();
  private readonly tasks = new Set<Promise<void>>();
  private isStopping = false;

  constructor(
    private readonly store: DeliveryStore,
    private readonly pipelines: ReadonlyMap<number, Pipeline>,
    scheduler: Scheduler,
    logger: Logger,
  ) {
    this.loop = new Loop(scheduler, POLL_MS, () => this.look(), (error) => {
      emit('poll:failed', () => ({ loop: 'stored deliveries', error, failures: 1, delayMs: POLL_MS }));
      logger.warn('looking for stored deliveries failed; it is tried again', { error });
    });
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
    for (const [id, ms] of due) if (ms === 0) this.launch(id);
    const later = [...due.values()].filter((ms) => ms > 0);
    return later.length > 0 ? Math.min(...later) : false;
  }

  private launch(id: number): void {
    const pipeline = this.pipelines.get(id);
    const running = this.running.get(id) ?? 0;
    if (pipeline === undefined || running >= Math.min(MAX_AT_ONCE, pipeline.subscription.spec.concurrency)) return;
    this.running.set(id, running + 1);
    const task = this.drain(id, pipeline).finally(() => {
      this.running.set(id, (this.running.get(id) ?? 1) - 1);
      this.tasks.delete(task);
    });
    this.tasks.add(task);
  }

  private async drain(id: number, pipeline: Pipeline): Promise<void> {
    let outcome = await pipeline.handle(this.store.intake(id));
    while (outcome === 'worked' && !this.isStopping) outcome = await pipeline.handle(this.store.intake(id));
    // A look may have been refused while we were at work.
    if (outcome === 'idle') this.loop.nudge();
  }
}
