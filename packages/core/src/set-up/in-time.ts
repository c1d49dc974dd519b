import type { Timer } from '../time/scheduler.js';
import type { Runtime } from './runtime.js';

/** A part of a stop: what it is called in the log, how long it may take, and what it waits for. */
export interface PartOfStop {
  readonly part: string;
  readonly ms: number;
  readonly work: Promise<unknown> | undefined;
}

/** Waits for a part to end, but not for ever: a database that does not answer must not keep a process that was told to stop. Never throws. */
export async function inTime({ scheduler, logger }: Pick<Runtime, 'scheduler' | 'logger'>, { ms, part, work }: PartOfStop): Promise<void> {
  let timer: Timer | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = scheduler.after(ms, () => resolve('late'), { keepsProcessAlive: true });
  });
  try {
    if ((await Promise.race([work, late])) === 'late') logger.warn('a part did not end in time; the stop goes on without it', { part, ms });
  } catch (error) {
    logger.warn('a part did not stop in good order', { part, error });
  } finally {
    timer?.cancel();
  }
}
