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

/** Node's timers. */
export const systemScheduler: Scheduler = {
  after(ms, task, options) {
    let handle: NodeJS.Timeout;
    const wait = (left: number): void => {
      const partMs = Math.min(left, LONGEST_TIMER_MS);
      handle = setTimeout(() => (left > partMs ? wait(left - partMs) : task()), partMs);
      if (!options?.keepsProcessAlive) handle.unref();
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
