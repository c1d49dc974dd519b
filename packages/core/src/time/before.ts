import type { Scheduler } from './scheduler.js';

/** How long something is waited for. */
export interface Deadline {
  readonly ms: number;
  /** What its end is told as when it does not come in time. */
  readonly tooLate: () => Error;
  /** Whether the process lives on for it; default false. */
  readonly keepsProcessAlive?: boolean;
}

/** Waits for the end of something, but not for ever: what becomes of it later changes nothing. @throws what `tooLate` makes, and whatever `end` rejects with */
export async function before<T>(scheduler: Scheduler, { ms, tooLate, keepsProcessAlive = false }: Deadline, end: Promise<T>): Promise<T> {
  let late = (_error: Error): void => undefined;
  const deadline = new Promise<never>((_, reject) => {
    late = reject;
  });
  const timer = scheduler.after(ms, () => late(tooLate()), { keepsProcessAlive });
  try {
    return await Promise.race([end, deadline]);
  } finally {
    timer.cancel();
  }
}
