/** Something that was put off, and can be called off. */
export interface Timer {
  /** The task will not run; does nothing when it has run or was cancelled. */
  cancel(): void;
}

/** How a timer behaves. */
export interface TimerOptions {
  /** Whether the process stays alive for it; default false, because work in flight keeps its connections and those keep the process. */
  readonly keepsProcessAlive?: boolean;
  /**
   * For a look at something that tells of itself, or is known not to be due before: milliseconds within which nothing is missed. A time that
   * is moved by hand stops for the timer only then. Real time pays no heed to it. Default: its own `ms`.
   */
  readonly atLatestMs?: number;
}

/** Puts work off, as the engine sees it: a port, so that a test or a simulation decides when time passes. */
export interface Scheduler {
  /**
   * Runs `task` once, at least `ms` from now, never within this call.
   *
   * @param ms milliseconds, 0 or more, without upper bound
   * @param task must not throw and is not awaited: nobody is there to hear of it
   */
  after(ms: number, task: () => void, options?: TimerOptions): Timer;
  /**
   * Resolves at least `ms` from now.
   *
   * @param signal rejects with the signal's reason as soon as it is aborted, at once when it already is
   */
  sleep(ms: number, signal?: AbortSignal, options?: TimerOptions): Promise<void>;
}

/** The longest a Node.js timer can wait; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A long timer that is so late was held up with the whole process. */
const LONG_MS = 1000;
const LATE_MS = 500;
/** Longer than it takes to read what came meanwhile. */
const READ_MS = 50;

/** Node's timers. After a stall they come before the sockets are read, so long ones wait once more: what came meanwhile would be taken for missing. */
export const systemScheduler: Scheduler = {
  after(ms, task, options) {
    let handle: NodeJS.Timeout;
    const start = (partMs: number, then: () => void): void => {
      handle = setTimeout(then, partMs);
      if (!options?.keepsProcessAlive) handle.unref();
    };
    const wait = (left: number): void => {
      const partMs = Math.min(left, LONGEST_TIMER_MS);
      const lateMs = ms < LONG_MS ? Number.POSITIVE_INFINITY : performance.now() + partMs + LATE_MS;
      start(partMs, () => {
        if (left > partMs) wait(left - partMs);
        else if (performance.now() > lateMs) start(READ_MS, task);
        else task();
      });
    };
    wait(ms);
    return { cancel: () => clearTimeout(handle) };
  },
  sleep(ms, signal, options) {
    return sleepUntil((wake) => systemScheduler.after(ms, wake, options), signal);
  },
};

/** `sleep` on top of `after`, for schedulers: `start` makes the timer that wakes the sleeper. */
export function sleepUntil(start: (wake: () => void) => Timer, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = start(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
