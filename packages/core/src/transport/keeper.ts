import { hfError } from '../errors/catalogue.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';

/** First wait before something that was lost is opened again; doubles while it does not last. */
const FIRST_WAIT_MS = 100;
/** Who comes back to a broker that is there again is not two seconds late. */
const LONGEST_WAIT_MS = 1500;
/** What lasted so long begins again with the first wait. */
const STEADY_MS = 30_000;

/** Something that is open until it is lost. */
export interface Opened {
  /** Resolves with the reason when it is lost or was ended; never rejects. */
  readonly lost: Promise<unknown>;
  /** Lets go of it. Never throws, may be called again, and has a deadline of its own. */
  end(): Promise<void>;
}

/** Where time and chance come from. */
export interface KeeperContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
}

/** What is kept open, and how. */
export interface KeeperParts {
  /** What it is, for the error of a start that took too long. */
  readonly what: string;
  /** Opens it. What fails is let go of in here. */
  readonly open: (signal: AbortSignal) => Promise<Opened>;
  /** It could not be opened, or was lost. It is tried again after `delayMs`. Must not throw. */
  readonly failed: (error: unknown, delayMs: number) => void;
}

/** How a first opening ends without success. */
export interface StartTerms {
  readonly timeoutMs: number;
  /** True when trying again cannot help. */
  readonly isFinal: (error: unknown) => boolean;
}

/**
 * Keeps something open until it is stopped. It is *opening*; *open*, until it is lost; or *waiting*, for a growing time with full jitter, so that
 * many processes that lost the same broker do not come back at once.
 */
export class Keeper {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private held: Opened | undefined;

  constructor(
    private readonly context: KeeperContext,
    private readonly parts: KeeperParts,
  ) {}

  /** Resolves when it is open for the first time. @throws the final error, the last one at the time-out, or HF_BROKER_UNANSWERED when there was none */
  async start({ timeoutMs, isFinal }: StartTerms): Promise<void> {
    let last: unknown = hfError('HF_BROKER_UNANSWERED', { request: this.parts.what, timeoutMs });
    await new Promise<void>((resolve, reject) => {
      const timer = this.context.scheduler.after(timeoutMs, () => reject(last), { keepsProcessAlive: true });
      const settled = (settle: () => void) => {
        timer.cancel();
        settle();
      };
      this.running = this.run(
        () => settled(resolve),
        (error) => {
          last = error;
          if (isFinal(error)) settled(() => reject(error));
        },
      ).finally(() => settled(() => reject(last)));
    });
  }

  /** Ends it for good, and with it a start that has not succeeded. */
  async stop(): Promise<void> {
    this.stopping.abort(hfError('HF_STOPPING', { activity: this.parts.what }));
    await this.held?.end();
    await this.running;
  }

  private async run(opened: () => void, failed: (error: unknown) => void): Promise<void> {
    const { clock, random, scheduler } = this.context;
    const { signal } = this.stopping;
    for (let failures = 0; !signal.aborted; failures += 1) {
      const { error, lastedMs } = await this.once(opened, clock);
      if (signal.aborted) return;
      if (lastedMs > STEADY_MS) failures = 0;
      const delayMs = Math.ceil(random.next() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures));
      failed(error);
      this.parts.failed(error, delayMs);
      // The process stays: with the broker away there may be nothing else that keeps it.
      await scheduler.sleep(delayMs, signal, { keepsProcessAlive: true }).catch(() => undefined);
    }
  }

  /** Opens it, and stays until it is lost. */
  private async once(opened: () => void, clock: Clock): Promise<{ readonly error: unknown; readonly lastedMs: number }> {
    let sinceMs: number | undefined;
    try {
      this.held = await this.parts.open(this.stopping.signal);
      sinceMs = clock.monotonicMs();
      if (!this.stopping.signal.aborted) opened();
      const error = this.stopping.signal.aborted ? this.stopping.signal.reason : await this.held.lost;
      return { error, lastedMs: clock.monotonicMs() - sinceMs };
    } catch (error) {
      return { error, lastedMs: 0 };
    } finally {
      await this.held?.end();
      this.held = undefined;
    }
  }
}
