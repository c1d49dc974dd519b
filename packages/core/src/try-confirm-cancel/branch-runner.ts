import { AsyncLocalStorage } from 'node:async_hooks';
import type { Permits } from '../delivery/permits.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { Loop } from '../outbox/loop.js';
import { failpoint } from '../testing/failpoints.js';
import type { Scheduler, Timer } from '../time/scheduler.js';
import type { BranchAttemptEnd, BranchAttempts } from './branch-attempt.js';
import type { BranchWorkStore } from './branch.store.port.js';

/** Between two looks for branches that are due: what others left behind is found by them alone. */
const POLL_MS = 1000;
/** Before a branch is looked at again that somebody has locked, or whose unit has not ended. */
const BUSY_MS = 500;

/** What the runner works with. */
export interface BranchRunnerParts {
  readonly store: BranchWorkStore;
  readonly attempts: BranchAttempts;
  /** Names of the tries of this process. */
  readonly methods: readonly string[];
  /** Branches in work at once. */
  readonly concurrency: number;
  /** The connections that handlers and steps share. */
  readonly permits: Permits;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/** Ends branches, several at once: those whose unit has ended here, and whatever is found to be due. What waits for a retry is a row and nothing here. */
export class BranchRunner {
  private readonly working = new Map<string, Promise<void>>();
  /** Ours, and to be looked at again soon. */
  private readonly busy = new Map<string, Timer>();
  /** Ours, and not in work: the last attempt could not be made, or there was no place. */
  private readonly owed = new Set<string>();
  private readonly loop: Loop;
  /** Methods run in a context of their own, not in that of the unit that called the try. */
  private readonly inOwnContext = AsyncLocalStorage.snapshot();
  private isMore = false;
  private phase: 'new' | 'running' | 'stopping' = 'new';

  constructor(private readonly parts: BranchRunnerParts) {
    const { scheduler, logger } = parts;
    const failed = (error: unknown) => {
      emit('poll:failed', () => ({ loop: 'looking for branches', error, delayMs: POLL_MS }));
      logger.warn('looking for branches of tries failed; it is tried again', { error });
    };
    this.loop = new Loop({ scheduler, pollMs: POLL_MS, work: () => this.claim(), failed });
  }

  start(): void {
    if (this.phase !== 'new') return;
    this.phase = 'running';
    this.loop.start();
  }

  get isBusy(): boolean {
    return this.working.size > 0 || this.busy.size > 0 || this.loop.isBusy;
  }

  /** The unit of a branch of this process has ended, whichever way. Never throws. */
  offer(id: string): void {
    if (this.phase === 'running' && this.working.size < this.parts.concurrency) this.launch(id);
    else this.giveBack([id]);
  }

  /** A transaction of the user's may end soon: the branch is looked at in a while. */
  offerLater(id: string): void {
    if (this.phase === 'running') this.lookAgain(id);
  }

  /** Something may be due. */
  nudge(): void {
    this.loop.nudge();
  }

  /** Nothing is taken on any more; resolves when what is in hand has ended, or was given up, and others may have it. */
  async stop(): Promise<void> {
    this.phase = 'stopping';
    await this.loop.stop();
    for (const [id, timer] of this.busy) {
      timer.cancel();
      this.owed.add(id);
    }
    this.busy.clear();
    while (this.working.size > 0) await Promise.all(this.working.values());
    if (this.owed.size > 0) await this.parts.store.release([...this.owed]).catch(() => undefined);
  }

  private async claim(): Promise<boolean | number> {
    const { store, methods, concurrency } = this.parts;
    const limit = concurrency - this.working.size;
    this.isMore = limit <= 0;
    if (limit <= 0) return false;
    const inHand = [...this.working.keys(), ...this.busy.keys()];
    const { ids, nextDueMs } = await store.claim({ methods, inHand, limit });
    if (ids.length > 0) failpoint('branch:after-claim');
    this.isMore = ids.length === limit;
    for (const id of ids) this.launch(id);
    return nextDueMs ?? false;
  }

  /** Whoever has a place looks for it, and that may be this process by then. */
  private giveBack(ids: readonly string[]): void {
    this.isMore = true;
    const release = this.parts.store.release(ids).catch(() => undefined);
    void release.then(() => this.loop.nudge());
  }

  private launch(id: string): void {
    if (this.working.has(id)) return;
    this.busy.get(id)?.cancel();
    this.busy.delete(id);
    const work = this.inOwnContext(() => this.work(id)).then((end) => {
      this.working.delete(id);
      // The next look tells when one that waits is due, and whether one that was left is ours all the same.
      if ((this.isMore || end === 'waits' || end === 'left') && this.phase === 'running') this.loop.nudge();
    });
    this.working.set(id, work);
  }

  private lookAgain(id: string): void {
    this.busy.get(id)?.cancel();
    this.busy.set(
      id,
      this.parts.scheduler.after(BUSY_MS, () => {
        this.busy.delete(id);
        this.offer(id);
      }),
    );
  }

  /** Never rejects; undefined: the attempt could not be made. */
  private async work(id: string): Promise<BranchAttemptEnd | undefined> {
    const { attempts, permits, logger } = this.parts;
    this.owed.add(id);
    try {
      for (;;) {
        const end = await permits.run(() => attempts.next(id));
        if (end === 'next') continue;
        if (end === 'busy' && this.phase === 'running') this.lookAgain(id);
        else if (end === 'busy') return end;
        this.owed.delete(id);
        return end;
      }
    } catch (error) {
      if (isHoldfastError(error, 'HF_STOPPING')) return undefined;
      logger.warn('a branch of a try could not be ended; it is tried again', { id, error });
      if (this.phase === 'running') this.lookAgain(id);
      return undefined;
    }
  }
}
