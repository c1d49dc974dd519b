import type { Scheduler } from '../time/scheduler.js';
import type { HandOver, Sink } from '../transport/transport.port.js';
import type { Intake } from './intake.port.js';
import type { Permits } from './permits.js';
import type { Subscription } from './subscription.js';

/** Deals with what one intake gives, once. */
export interface Handling {
  handle(intake: Intake): Promise<HandOver>;
}

/** Wait after a hand-over that could not be dealt with, before the source may ask again; doubles while nothing gets through. */
const BLOCKED_MS = 100;
const LONGEST_BLOCKED_MS = 1000;

/** The engine's end of a subscription: bounds and counts what is in work, and never throws. */
export class Pipeline implements Sink {
  inFlight = 0;
  /** Set while an operator has paused it. */
  isPaused = false;
  /** Hand-overs in a row that could not be dealt with. */
  private blocked = 0;

  constructor(
    readonly subscription: Subscription,
    private readonly handling: Handling,
    private readonly context: { readonly permits: Permits; readonly scheduler: Scheduler; readonly unexpected: (error: unknown) => void },
  ) {}

  handle(intake: Intake): Promise<HandOver> {
    return this.handleNext(async () => intake);
  }

  /** As `handle`, of an intake that is looked for once there is a connection for it. */
  async handleNext(look: () => Promise<Intake | undefined>): Promise<HandOver> {
    if (this.isPaused) {
      await this.context.scheduler.sleep(BLOCKED_MS);
      return 'blocked';
    }
    return this.context.permits.run(() => this.handleNow(look));
  }

  private async handleNow(look: () => Promise<Intake | undefined>): Promise<HandOver> {
    this.inFlight += 1;
    try {
      const intake = await look();
      const outcome = intake === undefined ? 'idle' : await this.handling.handle(intake);
      if (outcome === 'blocked') await this.rest();
      else this.blocked = 0;
      return outcome;
    } catch (error) {
      // Nothing was consumed: the message is still where it was.
      this.context.unexpected(error);
      await this.rest();
      return 'blocked';
    } finally {
      this.inFlight -= 1;
    }
  }

  private async rest(): Promise<void> {
    const ms = Math.min(LONGEST_BLOCKED_MS, BLOCKED_MS * 2 ** this.blocked);
    this.blocked += 1;
    await this.context.scheduler.sleep(ms);
  }
}
