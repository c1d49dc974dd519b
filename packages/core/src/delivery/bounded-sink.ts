import type { Scheduler } from '../time/scheduler.js';
import type { HandOver, Sink } from '../transport/transport.port.js';
import type { FailurePause } from './failure-pause.js';
import type { Intake } from './intake.port.js';
import type { MessageHandling } from './message-handling.js';
import type { Permits } from './permits.js';
import type { Subscription } from './subscription.js';

/** Wait after a hand-over that could not be dealt with, before the source may ask again; doubles while nothing gets through. */
const BLOCKED_MS = 100;
const LONGEST_BLOCKED_MS = 1000;

/** What a sink works with besides its handling. */
export interface BoundedSinkParts {
  readonly permits: Permits;
  readonly failures: FailurePause;
  readonly scheduler: Scheduler;
  readonly unexpected: (error: unknown) => void;
}

/** The engine's end of a subscription: bounds and counts what is in work, and never throws. */
export class BoundedSink implements Sink {
  inFlight = 0;
  /** Set when the process was told to stop: what waits for its turn has taken nothing yet, and takes nothing any more. */
  isStopping = false;
  /** Hand-overs in a row that could not be dealt with. */
  private blocked = 0;
  private isHeld = false;
  private readonly watchers = new Set<() => void>();

  constructor(
    readonly subscription: Subscription,
    private readonly handling: MessageHandling,
    private readonly parts: BoundedSinkParts,
  ) {}

  get isPaused(): boolean {
    return this.isHeld;
  }

  /** Set while an operator has paused it. */
  set isPaused(isPaused: boolean) {
    if (this.isHeld === isPaused) return;
    this.isHeld = isPaused;
    for (const changed of this.watchers) changed();
  }

  onPause(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => void this.watchers.delete(changed);
  }

  /** True while it has paused by itself, because most deliveries fail. */
  get isHoldingBack(): boolean {
    return !this.parts.failures.isDelivering;
  }

  handle(intake: Intake): Promise<HandOver> {
    return this.handleNext(async () => intake);
  }

  /** As `handle`, of an intake that is looked for once there is a connection for it. */
  async handleNext(look: () => Promise<Intake | undefined>): Promise<HandOver> {
    const { permits, failures, scheduler } = this.parts;
    const outcome = this.isPaused
      ? 'held back'
      : await permits.run(async () => {
          // Idle, not blocked: a source that is not closed yet must not ask again at once.
          if (this.isStopping) return 'idle';
          const turn = failures.turn();
          if (turn === 'none') return 'held back';
          return turn === 'probe' ? this.probe(look) : this.handleNow(look);
        });
    if (outcome !== 'held back') return outcome;
    await scheduler.sleep(BLOCKED_MS);
    return 'blocked';
  }

  /** One message, to see whether what made most of them fail is gone. */
  private async probe(look: () => Promise<Intake | undefined>): Promise<HandOver> {
    try {
      return await this.handleNow(look, 1);
    } finally {
      this.parts.failures.probeEnded();
    }
  }

  private async handleNow(look: () => Promise<Intake | undefined>, limit?: number): Promise<HandOver> {
    this.inFlight += 1;
    try {
      const intake = await look();
      const outcome = intake === undefined ? 'idle' : await this.handling.handle(intake, limit);
      if (outcome === 'blocked') await this.rest();
      else this.blocked = 0;
      return outcome;
    } catch (error) {
      // Nothing was consumed: the message is still where it was.
      this.parts.unexpected(error);
      await this.rest();
      return 'blocked';
    } finally {
      this.inFlight -= 1;
    }
  }

  private async rest(): Promise<void> {
    const ms = Math.min(LONGEST_BLOCKED_MS, BLOCKED_MS * 2 ** this.blocked);
    this.blocked += 1;
    await this.parts.scheduler.sleep(ms);
  }
}
