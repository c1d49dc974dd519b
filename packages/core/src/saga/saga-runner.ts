import { AsyncLocalStorage } from 'node:async_hooks';
import type { Permits } from '../delivery/permits.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { Loop } from '../outbox/loop.js';
import { failpoint } from '../testing/failpoints.js';
import type { Clock } from '../time/clock.js';
import type { Scheduler } from '../time/scheduler.js';
import type { AttemptEnd, SagaAttempts } from './saga-attempt.js';
import type { SagaStore, SagaVersion } from './saga.store.port.js';

/** Between two looks for instances that are due: what others left behind is found by them alone. */
const POLL_MS = 1000;

/** What the runner works with. */
export interface SagaRunnerParts {
  readonly store: SagaStore;
  readonly attempts: SagaAttempts;
  readonly versions: readonly SagaVersion[];
  /** Instances in work at once. */
  readonly concurrency: number;
  /** The connections that handlers and steps share. */
  readonly permits: Permits;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** An instance has ended, or waits for a person. */
  readonly ended: (id: string) => void;
}

/**
 * Works on the instances of this process, each one step after another, several at once. What waits (for a retry, for its time) is a row in the
 * database and nothing here.
 */
export class SagaRunner {
  private readonly working = new Map<string, Promise<void>>();
  /** Claimed, and not in work: their last attempt could not be made. */
  private readonly owed = new Set<string>();
  /** Those that were left: the next look gives back what is still ours of them. */
  private readonly left = new Set<string>();
  /** Claimed, for the places that come free next: a look for each would cost more than a step. There are some only while all places are taken. */
  private readonly ahead: string[] = [];
  private claimedMs = 0;
  private readonly loop: Loop;
  /** Steps run in a context of their own, not in that of the handler or the request that started their saga. */
  private readonly inOwnContext = AsyncLocalStorage.snapshot();
  private reserved = 0;
  private isMore = false;
  private phase: 'new' | 'running' | 'stopping' = 'new';

  constructor(private readonly parts: SagaRunnerParts) {
    const { scheduler, logger } = parts;
    const failed = (error: unknown) => {
      emit('poll:failed', () => ({ loop: 'looking for sagas', error, delayMs: POLL_MS }));
      logger.warn('looking for sagas failed; it is tried again', { error });
    };
    this.loop = new Loop({ scheduler, pollMs: POLL_MS, work: () => this.claim(), failed });
  }

  start(): void {
    if (this.phase !== 'new') return;
    this.phase = 'running';
    this.loop.start();
  }

  /** Keeps a place for an instance that is being started, until `giveBack`; false when all are taken. */
  reserve(): boolean {
    if (this.phase !== 'running' || this.working.size + this.reserved >= this.parts.concurrency) return false;
    this.reserved += 1;
    return true;
  }

  /** The unit of the start has ended, whichever way. */
  giveBack(): void {
    this.reserved -= 1;
  }

  get isStopping(): boolean {
    return this.phase === 'stopping';
  }

  /** Whether this process works on an instance: `ended` tells of its end. */
  worksOn(id: string): boolean {
    return this.working.has(id);
  }

  get isBusy(): boolean {
    return this.working.size > 0 || this.loop.isBusy;
  }

  /** An instance was committed that this process has claimed. Its place may be gone meanwhile: a look does not wait for units that have reserved. */
  offer(id: string): void {
    if (this.phase === 'running' && this.working.size < this.parts.concurrency) this.launch(id);
    else {
      this.isMore = true;
      this.giveUp([id]);
    }
  }

  /** Something may be due. */
  nudge(): void {
    this.loop.nudge();
  }

  /** Nothing is taken on any more; resolves when what is in hand has ended, or was given up, and others may have it. */
  async stop(): Promise<void> {
    this.phase = 'stopping';
    await this.loop.stop();
    while (this.working.size > 0) await Promise.all(this.working.values());
    const left = [...this.owed, ...this.ahead];
    if (left.length > 0) await this.parts.store.release(left).catch(() => undefined);
  }

  private async claim(): Promise<boolean | number> {
    const { store, versions, concurrency, clock } = this.parts;
    const free = concurrency - this.working.size;
    if (free <= 0) {
      this.isMore = true;
      await this.letGo();
      return false;
    }
    const limit = free + concurrency;
    const inHand = [...this.working.keys(), ...this.ahead];
    const left = [...this.left].filter((id) => !this.working.has(id));
    const { ids, nextDueMs } = await store.claim({ versions, inHand, limit });
    for (const id of left) this.forget(id);
    if (ids.length > 0) failpoint('saga:after-claim');
    this.claimedMs = clock.monotonicMs();
    this.isMore = ids.length === limit;
    this.ahead.push(...ids);
    this.fill();
    return nextDueMs ?? false;
  }

  private forget(id: string): void {
    this.left.delete(id);
    if (!this.working.has(id)) this.owed.delete(id);
  }

  /** Whoever has a place looks for it, and that may be this process by then. */
  private giveUp(ids: readonly string[]): void {
    const release = this.parts.store.release(ids).catch(() => undefined);
    void release.then(() => this.loop.nudge());
  }

  /** What has waited long for a place here may find one elsewhere. */
  private async letGo(): Promise<void> {
    const { store, clock } = this.parts;
    if (this.ahead.length > 0 && clock.monotonicMs() - this.claimedMs >= POLL_MS / 2) await store.release(this.ahead.splice(0));
  }

  private fill(): void {
    const { concurrency } = this.parts;
    while (this.phase === 'running' && this.ahead.length > 0 && this.working.size < concurrency) this.launch(this.ahead.shift() as string);
  }

  private launch(id: string): void {
    if (this.working.has(id)) return;
    const work = this.inOwnContext(() => this.work(id)).then((end) => {
      this.working.delete(id);
      if (end === 'ended') this.parts.ended(id);
      this.fill();
      // The next look tells: when it is due, or whether something has come for it, of one that waits; of one that was left, whether it is ours all
      // the same, with another step, or behind a look of our own that had its row.
      const needsLook = end === 'waits' || end === 'left' || (this.isMore && this.ahead.length === 0);
      if (needsLook && this.phase === 'running') this.loop.nudge();
    });
    this.working.set(id, work);
  }

  /** Never rejects; undefined: the attempt could not be made. */
  private async work(id: string): Promise<AttemptEnd | undefined> {
    const { attempts, permits, logger } = this.parts;
    this.owed.add(id);
    try {
      for (;;) {
        const end = await permits.run(() => attempts.next(id));
        if (end === 'next') continue;
        if (end === 'left') this.left.add(id);
        else this.owed.delete(id);
        return end;
      }
    } catch (error) {
      if (!isHoldfastError(error, 'HF_STOPPING')) logger.warn('a step of a saga could not be tried; it is tried again', { id, error });
      return undefined;
    }
  }
}
