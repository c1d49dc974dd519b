import type { Intake } from '../delivery/intake.port.js';
import type { Sink, SubscriptionSpec } from '../transport/transport.port.js';

/**
 * Which lanes one subscription reads now, at most `concurrency` at a time and each lane once.
 *
 * A lane is *idle*, *waiting* (something is there, no hand is free), *reading*, or *reading again* (woken while it was read). A lane that still
 * has more goes to the end of the line, so that none starves the others.
 */
export class SubscriptionReader {
  private readonly waiting = new Set<number>();
  private readonly reading = new Set<number>();
  private readonly again = new Set<number>();
  private readonly tasks = new Set<Promise<void>>();
  private isStopped = false;

  constructor(
    private readonly spec: SubscriptionSpec,
    private readonly sink: Sink,
    private readonly intakeOf: (lane: number) => Intake,
  ) {}

  get isBusy(): boolean {
    return this.reading.size > 0 || this.waiting.size > 0;
  }

  isReading(lane: number): boolean {
    return this.reading.has(lane);
  }

  /** Something may be in this lane. */
  wake(lane: number): void {
    if (this.isStopped) return;
    if (this.reading.has(lane)) this.again.add(lane);
    else this.waiting.add(lane);
    this.fill();
  }

  /** Takes nothing new, and waits for what is in hand. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.waiting.clear();
    this.again.clear();
    await Promise.all(this.tasks);
  }

  private fill(): void {
    for (const lane of this.waiting) {
      if (this.reading.size >= this.spec.concurrency) return;
      this.waiting.delete(lane);
      this.reading.add(lane);
      const task = this.read(lane).finally(() => this.tasks.delete(task));
      this.tasks.add(task);
    }
  }

  private async read(lane: number): Promise<void> {
    const outcome = await this.sink.handle(this.intakeOf(lane));
    this.reading.delete(lane);
    const isMore = this.again.delete(lane) || outcome !== 'idle';
    if (isMore && !this.isStopped) this.waiting.add(lane);
    this.fill();
  }
}
