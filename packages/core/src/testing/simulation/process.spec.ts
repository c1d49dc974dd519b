import { ContextSlot } from '../../context/context-slot.js';
import type { Clock } from '../../time/clock.js';
import { type Scheduler, sleepUntil, type Timer, type TimerOptions } from '../../time/scheduler.js';
import type { VirtualTime } from '../virtual-time.js';
import type { Client } from './database.spec.js';

const slot = new ContextSlot<SimulatedProcess>();

/** The process whose code is running. */
export function currentProcess(): SimulatedProcess | undefined {
  return slot.get();
}

/** One process of several in this one. Once it is killed none of its timers strikes, and nothing it asked for is answered. */
export class SimulatedProcess implements Client, Scheduler, Clock {
  isAlive = true;
  private readonly timers = new Set<Timer>();
  private readonly dying: (() => void)[] = [];

  /** @param skewMs how far its clock is wrong */
  constructor(
    readonly name: string,
    private readonly time: VirtualTime,
    private readonly skewMs: number,
  ) {}

  get scheduler(): Scheduler {
    return this;
  }

  /** Timers that would still strike. */
  get timerCount(): number {
    return this.timers.size;
  }

  run<T>(work: () => T): T {
    return slot.run(this, work);
  }

  /** As `kill -9`: whatever runs here reaches nobody any more. */
  kill(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const timer of this.timers) timer.cancel();
    this.timers.clear();
    for (const then of this.dying.splice(0)) then();
  }

  onDeath(then: () => void): void {
    this.dying.push(then);
  }

  after(ms: number, task: () => void, options?: TimerOptions): Timer {
    if (!this.isAlive) return { cancel: () => undefined };
    const timer = this.time.after(
      ms,
      () => {
        this.timers.delete(handle);
        this.run(task);
      },
      options,
    );
    const handle = {
      cancel: () => {
        this.timers.delete(handle);
        timer.cancel();
      },
    };
    this.timers.add(handle);
    return handle;
  }

  sleep(ms: number, signal?: AbortSignal, options?: TimerOptions): Promise<void> {
    return sleepUntil((wake) => this.after(ms, wake, options), signal);
  }

  now(): Date {
    return new Date(this.time.now().getTime() + this.skewMs);
  }

  monotonicMs(): number {
    return this.time.monotonicMs();
  }

  aheadOfDatabaseMs(): number {
    return 0;
  }
}
