import { isHoldfastError } from '../errors/holdfast-error.js';
import type { Scheduler, Timer } from '../time/scheduler.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { Lease } from './intake.port.js';

/** Renewals in a term, so that one or two may fail before it is over. */
const RENEWALS_PER_TERM = 3;

/** How something is renewed. */
export interface RenewalParts {
  readonly scheduler: Scheduler;
  /** How long it lives without one, in milliseconds. */
  readonly termMs: number;
  readonly renew: () => Promise<void>;
  /** Somebody else has it: it is not renewed any more. */
  readonly lost: (error: unknown) => void;
  /** It is tried again. */
  readonly failed: (error: unknown) => void;
}

/** Renews something for a term, again and again, until it is stopped or lost. */
export class Renewal {
  private timer: Timer;
  private running: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(private readonly parts: RenewalParts) {
    this.timer = this.later();
  }

  /** Resolves when no renewal is under way any more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timer.cancel();
    await this.running;
  }

  private later(): Timer {
    const { scheduler, termMs } = this.parts;
    return scheduler.after(termMs / RENEWALS_PER_TERM, () => {
      this.running = this.once();
    });
  }

  private async once(): Promise<void> {
    const { renew, lost, failed } = this.parts;
    try {
      await renew();
    } catch (error) {
      if (this.isStopped) return;
      if (isHoldfastError(error, 'HF_LEASE_LOST')) {
        lost(error);
        return;
      }
      failed(error);
    }
    if (!this.isStopped) this.timer = this.later();
  }
}

/** A lease that is renewed until it ends. No renewal is under way when it does, so that what proves it is known. */
export class KeptLease {
  constructor(
    private readonly lease: Lease,
    private readonly renewal: Renewal,
  ) {}

  get isSuspect(): boolean {
    return this.lease.isSuspect;
  }

  get hasStored(): boolean {
    return this.lease.hasStored;
  }

  /** Keeps it for another term, also after `finish` has failed. @throws HF_LEASE_LOST when somebody else has it */
  renew(): Promise<void> {
    return this.lease.renew();
  }

  /** Consumes what is leased. @throws HF_LEASE_LOST when somebody else has it */
  async finish(tx: Transaction | undefined): Promise<void> {
    await this.renewal.stop();
    await this.lease.finish(tx);
  }

  /** Gives it back, as far as it still is ours. */
  async release(): Promise<void> {
    await this.renewal.stop();
    await this.lease.release().catch(() => undefined);
  }

  /** Lets it end by itself, unless it was finished or given back. */
  async stop(): Promise<void> {
    await this.renewal.stop();
  }
}
