import type { Scheduler, Timer } from '../time/scheduler.js';

/** Longest wait after failures. */
const MAX_BACKOFF_MS = 5000;
const FIRST_BACKOFF_MS = 100;

/** What a loop does, and how. */
export interface LoopParts {
  readonly scheduler: Scheduler;
  /** Wait after a run that found nothing. */
  readonly pollMs: number;
  /** The first such wait, if it is another: loops that start together and differ here do not all ask for a connection at the same moment. */
  readonly firstPollMs?: number;
  /** True when there is more to do at once; a number: milliseconds until there is. */
  readonly work: () => Promise<boolean | number>;
  readonly failed: (error: unknown) => void;
}

/**
 * Runs a piece of work again and again: at once while it says there is more, after `pollMs` when not, at once when nudged, with growing
 * waits while it fails. Never two at a time.
 */
export class Loop {
  private timer: Timer | undefined;
  private running: Promise<void> | undefined;
  private isNudged = false;
  private isStopped = true;
  private failures = 0;
  private pollMs = 0;

  constructor(private readonly parts: LoopParts) {}

  get isBusy(): boolean {
    return this.running !== undefined || this.isNudged;
  }

  start(): void {
    this.isStopped = false;
    this.pollMs = this.parts.firstPollMs ?? this.parts.pollMs;
    this.nudge();
  }

  nudge(): void {
    if (this.isStopped) return;
    if (this.running !== undefined) {
      this.isNudged = true;
      return;
    }
    this.timer?.cancel();
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.isNudged = false;
    this.timer?.cancel();
    await this.running;
  }

  /** Work may answer with a number: milliseconds until it wants to run again. */
  private async run(): Promise<void> {
    const { work, failed, scheduler } = this.parts;
    const { pollMs } = this;
    this.pollMs = this.parts.pollMs;
    let waitMs = pollMs;
    let atLatestMs = Number.POSITIVE_INFINITY;
    do {
      this.isNudged = false;
      try {
        const more = await work();
        this.failures = 0;
        atLatestMs = typeof more === 'number' ? more : Number.POSITIVE_INFINITY;
        waitMs = Math.min(atLatestMs, pollMs);
        if (more === true) this.isNudged = true;
      } catch (error) {
        this.isNudged = false;
        waitMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.failures);
        atLatestMs = waitMs;
        this.failures += 1;
        failed(error);
      }
    } while (this.isNudged && !this.isStopped);
    this.running = undefined;
    if (this.isStopped) this.isNudged = false;
    else this.timer = scheduler.after(waitMs, () => this.nudge(), { atLatestMs });
  }
}
