import { setImmediate } from 'node:timers';
import type { Clock } from '../time/clock.js';
import { type Duration, toMs } from '../time/duration.js';
import { type Scheduler, sleepUntil, type Timer, type TimerOptions } from '../time/scheduler.js';

/** How a VirtualTime begins and what it waits for. */
export interface VirtualTimeOptions {
  /** What `now()` says before the first `advance`; default: the real time. */
  readonly startsAt?: Date;
  /**
   * Waits until what a timer set off has come to rest; default: some rounds of the event loop, which is enough for promises but not for
   * answers of a server.
   */
  readonly settle?: () => Promise<void>;
  /**
   * Does not stop for polls (`atLatestMs`) on the way: each has one look at the end of an `advance`, so that a day costs no more than an hour.
   * Default: false, they run as often as they would.
   */
  readonly skipsPolls?: boolean;
}

interface Waiting {
  readonly dueMs: number;
  /** The clock stops here for it; later than its due time for a poll. */
  readonly stopMs: number;
  readonly task: () => void;
}

/** Rounds of the event loop between two timers: each lets every chain of promises run to its end. */
const SETTLE_ROUNDS = 10;

/**
 * Time that stands still until it is told to move: a Clock and a Scheduler for tests and simulations.
 *
 * **Guarantee:** timers run in the order of their due times, those due at once in the order they were made, each with the clock at its due
 * time and with the promises it set off settled before the next one. A timer of 0 ms needs no `advance`: it runs in the next round of the
 * event loop. Timers never keep the process alive, whatever they ask for.
 */
export class VirtualTime implements Clock, Scheduler {
  private advancedMs = 0;
  private readonly startMs: number;
  private readonly settle: () => Promise<void>;
  private readonly skipsPolls: boolean;
  /** In the order they were made. */
  private readonly timers = new Set<Waiting>();
  private moves: Promise<void> = Promise.resolve();

  /** @param options where it begins, and what to wait for between timers */
  constructor(options: VirtualTimeOptions = {}) {
    this.startMs = (options.startsAt ?? new Date()).getTime();
    this.settle = options.settle ?? settlePromises;
    this.skipsPolls = options.skipsPolls ?? false;
  }

  /** The start, plus what it was advanced by. */
  now(): Date {
    return new Date(this.startMs + this.advancedMs);
  }

  /** What it was advanced by. */
  monotonicMs(): number {
    return this.advancedMs;
  }

  /** What it was advanced by: the database's clock was not. */
  aheadOfDatabaseMs(): number {
    return this.advancedMs;
  }

  /** Runs `task` when the time has been advanced to it. */
  after(ms: number, task: () => void, options: TimerOptions = {}): Timer {
    const waitMs = Math.max(0, ms);
    const stopMs = this.advancedMs + (this.skipsPolls ? Math.max(waitMs, options.atLatestMs ?? waitMs) : waitMs);
    const timer: Waiting = { dueMs: this.advancedMs + waitMs, stopMs, task };
    this.timers.add(timer);
    if (timer.dueMs === this.advancedMs) setImmediate(() => this.run(timer));
    return { cancel: () => this.timers.delete(timer) };
  }

  /** Resolves when the time has been advanced by `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal, options?: TimerOptions): Promise<void> {
    return sleepUntil((wake) => this.after(ms, wake, options), signal);
  }

  /**
   * Moves time on, running every timer on the way in order, also those that are made on the way. Calls take turns.
   *
   * @throws what a timer's task threw; the time then stands at that timer
   */
  advance(by: Duration): Promise<void> {
    const byMs = toMs(by, 'advance');
    const move = this.moves.then(() => this.moveTo(this.advancedMs + byMs));
    this.moves = move.catch(() => {});
    return move;
  }

  private async moveTo(targetMs: number): Promise<void> {
    await this.settle();
    for (let timer = this.nextUntil(targetMs); timer; timer = this.nextUntil(targetMs)) {
      this.advancedMs = Math.max(this.advancedMs, timer.stopMs);
      this.run(timer);
      await this.settle();
    }
    this.advancedMs = targetMs;
    await this.settle();
    await this.runOverduePolls();
  }

  /** What the clock did not stop for has its look now, once, however long the way was. */
  private async runOverduePolls(): Promise<void> {
    const overdue = [...this.timers].filter(({ dueMs }) => dueMs <= this.advancedMs);
    for (const timer of overdue) this.run(timer);
    if (overdue.length > 0) await this.settle();
  }

  private nextUntil(targetMs: number): Waiting | undefined {
    let next: Waiting | undefined;
    for (const timer of this.timers) if (timer.stopMs <= targetMs && (!next || timer.stopMs < next.stopMs)) next = timer;
    return next;
  }

  private run(timer: Waiting): void {
    if (this.timers.delete(timer)) timer.task();
  }
}

async function settlePromises(): Promise<void> {
  for (let round = 0; round < SETTLE_ROUNDS; round += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
