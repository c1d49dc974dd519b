import { randomUUID } from 'node:crypto';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { Loop } from '../outbox/loop.js';
import type { Clock } from '../time/clock.js';
import type { Scheduler } from '../time/scheduler.js';
import type { LeaseStore, PartLease } from './lease.store.port.js';

/** How long a part stays with a process that says nothing: what others wait for when it dies. */
const TTL_MS = 5000;
/** Between two rounds: how soon others have what was given back. */
const ROUND_MS = 500;

/** What leases of parts are made with. */
export interface PartLeasesParts {
  readonly store: LeaseStore;
  /** Which whole. */
  readonly scope: string;
  /** How many parts it has, if it was not made with another number. */
  readonly count: number;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** Parts came or went. */
  readonly changed: () => void;
  /** False while this process can do nothing with a part: others get them, if there are any. Default: it always can. */
  readonly isAble?: () => boolean;
  /** A part goes to another process: resolves when nothing of it is in work any more. It is not in `mine` from now on. */
  readonly handOver: (part: number) => Promise<void>;
}

interface Held {
  readonly ownerToken: string;
  /** On this process's monotonic clock: past it somebody else may have the part. */
  untilMs: number;
  /** `leaving`: nothing new of it is begun; `free`: nothing of it is in work, and the next round gives it back. */
  state: 'ours' | 'leaving' | 'free';
}

/**
 * The parts of a whole that this process owns, shared evenly with the others that want some, without a leader. A part is used only while the
 * monotonic clock says that it is ours: who was frozen finds out by looking at his own watch, before he does harm.
 */
export class PartLeases {
  private readonly held = new Map<number, Held>();
  private readonly loop: Loop;
  private first: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(private readonly parts: PartLeasesParts) {
    this.loop = new Loop({
      scheduler: parts.scheduler,
      pollMs: ROUND_MS,
      work: () => this.round(),
      failed: (error) => this.failed(error),
    });
  }

  /** Takes its share for the first time, and goes on. */
  async start(): Promise<void> {
    const { store, scope, count, logger } = this.parts;
    const found = await store.declare(scope, count);
    if (found !== count)
      logger.warn('there is another number of parts than was asked for; it stays', { scope, parts: found, wanted: count });
    if (this.isStopped) return;
    this.first = this.round().then(
      () => undefined,
      (error: unknown) => this.failed(error),
    );
    await this.first;
    if (!this.isStopped) this.loop.start();
  }

  /** True while a round is under way. */
  get isBusy(): boolean {
    return this.loop.isBusy;
  }

  /** Parts that are ours just now, less those on their way to another process. One that has run out is asked for at once. */
  mine(): readonly number[] {
    const nowMs = this.parts.clock.monotonicMs();
    if ([...this.held.values()].some(({ untilMs }) => untilMs <= nowMs)) this.loop.nudge();
    return [...this.held].filter(([part, { state }]) => state === 'ours' && this.ownerToken(part) !== undefined).map(([part]) => part);
  }

  /** What proves that a part is ours; undefined when it is not, or may not be any more. */
  ownerToken(part: number): string | undefined {
    const held = this.held.get(part);
    return held !== undefined && this.parts.clock.monotonicMs() < held.untilMs ? held.ownerToken : undefined;
  }

  /** Takes nothing more and gives everything back: call it when nothing is in work. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.first;
    await this.loop.stop();
    const { store, scope, nodeId } = this.parts;
    const ownerTokens = this.tokens();
    this.held.clear();
    await store.leave(scope, { nodeId, ownerTokens });
  }

  private async round(): Promise<boolean> {
    const { store, scope, nodeId, clock } = this.parts;
    await this.giveBack();
    // Before the statement: the store's clock starts the lease later, so ours ends it earlier.
    const askedMs = clock.monotonicMs();
    const isAble = this.parts.isAble?.() ?? true;
    const request = { nodeId, ownerTokens: this.tokens(), newToken: randomUUID(), ttlMs: TTL_MS, isAble };
    const { held, share } = await store.round(scope, request);
    const { taken, isRegained } = this.remember(held, askedMs);
    const lost = this.forget(held);
    for (const part of taken) emit('lease:taken', () => ({ scope, part, node: nodeId }));
    for (const part of lost) emit('lease:lost', () => ({ scope, part, node: nodeId }));
    if (lost.length > 0) this.parts.logger.warn('leases were lost to another process; their parts are left alone', { scope, parts: lost });
    if (taken.length + lost.length > 0 || isRegained) this.parts.changed();
    this.shed(share);
    return false;
  }

  private failed(error: unknown): void {
    const { scope, logger } = this.parts;
    emit('poll:failed', () => ({ loop: `leases of ${scope}`, error, delayMs: ROUND_MS }));
    logger.warn('leases could not be renewed; it is tried again', { scope, error });
  }

  private tokens(): string[] {
    return [...new Set([...this.held.values()].map(({ ownerToken }) => ownerToken))];
  }

  /** Those that are new, and whether one had run out by our own watch that is still ours. */
  private remember(leases: readonly PartLease[], askedMs: number): { readonly taken: readonly number[]; readonly isRegained: boolean } {
    const taken: number[] = [];
    let isRegained = false;
    for (const { part, ownerToken, leftMs } of leases) {
      const known = this.held.get(part);
      const untilMs = askedMs + leftMs;
      if (known?.ownerToken === ownerToken) {
        isRegained ||= askedMs >= known.untilMs;
        known.untilMs = untilMs;
        continue;
      }
      this.held.set(part, { ownerToken, untilMs, state: 'ours' });
      taken.push(part);
    }
    return { taken, isRegained };
  }

  /** Those that are not there any more. */
  private forget(leases: readonly PartLease[]): number[] {
    const still = new Set(leases.map(({ part }) => part));
    const lost = [...this.held.keys()].filter((part) => !still.has(part));
    for (const part of lost) this.held.delete(part);
    return lost;
  }

  /** Hands over what is above the share. */
  private shed(share: number): void {
    const staying = [...this.held].filter(([, { state }]) => state === 'ours');
    for (const [part, held] of staying.slice(share)) {
      held.state = 'leaving';
      void this.handOver(part, held);
    }
  }

  private async handOver(part: number, held: Held): Promise<void> {
    const { scope, handOver, logger } = this.parts;
    try {
      await handOver(part);
      held.state = 'free';
      this.loop.nudge();
    } catch (error) {
      held.state = 'ours';
      logger.warn('a part could not be handed over; it is tried again', { scope, part, error });
    }
  }

  /** Within a round, so that none that is under way can find a part still ours that was given back meanwhile. */
  private async giveBack(): Promise<void> {
    const free = [...this.held].filter(([, { state }]) => state === 'free').map(([part, { ownerToken }]) => ({ part, ownerToken }));
    if (free.length === 0) return;
    await this.parts.store.release(this.parts.scope, free);
    for (const { part } of free) this.held.delete(part);
  }
}
