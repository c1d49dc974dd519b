import { systemScheduler } from '../../time/scheduler.js';

/** A close may wait for what the work has left open. */
const LAST_CLOSE_MS = 10_000;

/** Does `work` with something that is closed after it. */
export async function closing<T extends { close(): Promise<void> }>(opened: T, work: (opened: T) => Promise<void>): Promise<void> {
  try {
    await work(opened);
  } catch (error) {
    // What could not be closed because of it says less.
    await Promise.race([opened.close().catch(() => undefined), systemScheduler.sleep(LAST_CLOSE_MS)]);
    throw error;
  }
  await opened.close();
}
