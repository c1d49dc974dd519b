import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between two looks. */
const LOOK_MS = 2;

/** Waits until `isDone`; fails with `what` after `timeoutMs`. */
export async function until(what: string, timeoutMs: number, isDone: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isDone())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(LOOK_MS);
  }
}

/** Calls `work` for 0 … count − 1, `callers` at a time, each caller as fast as it can. */
export async function inParallel(count: number, callers: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const caller = async () => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: callers }, caller));
}
