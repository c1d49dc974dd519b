import type { Scheduler } from '../time/scheduler.js';
import type { HandOver, Sink } from '../transport/transport.port.js';
import type { Intake } from './intake.port.js';
import type { Permits } from './permits.js';
import type { Subscription } from './subscription.js';

/** Deals with what one intake gives, once. */
export interface Handling {
  handle(intake: Intake): Promise<HandOver>;
}

/** Wait after a hand-over that could not be dealt with, before the source may ask again. */
const BLOCKED_MS = 100;

/** The engine's end of a subscription: bounds and counts what is in work, and never throws. */
export class Pipeline implements Sink {
  inFlight = 0;
  /** Set while an operator has paused it. */
  isPaused = false;

  constructor(
    readonly subscription: Subscription,
    private readonly handling: Handling,
    private readonly context: { readonly permits: Permits; readonly scheduler: Scheduler; readonly unexpected: (error: unknown) => void },
  ) {}

  async handle(intake: Intake): Promise<HandOver> {
    if (this.isPaused) {
      await this.context.scheduler.sleep(BLOCKED_MS);
      return 'blocked';
    }
    return this.context.permits.run(() => this.handleNow(intake));
  }

  private async handleNow(intake: Intake): Promise<HandOver> {
    this.inFlight += 1;
    try {
      const outcome = await this.handling.handle(intake);
      if (outcome === 'blocked') await this.context.scheduler.sleep(BLOCKED_MS);
      return outcome;
    } catch (error) {
      // Nothing was consumed: the message is still where it was.
      this.context.unexpected(error);
      await this.context.scheduler.sleep(BLOCKED_MS);
      return 'blocked';
    } finally {
      this.inFlight -= 1;
    }
  }
}
