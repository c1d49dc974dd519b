import { systemScheduler } from '@holdfast/core';

/** Told to whoever waited for an answer that did not come in time. */
export class Unanswered extends Error {}

/**
 * Waits for an answer of the server, but not for ever: when a peer vanishes without a word TCP takes a quarter of an hour to notice.
 *
 * @throws Unanswered after `ms`; what comes later is dropped. Its connection can only be destroyed then.
 */
export function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const late = () => reject(new Unanswered(`no answer of the database within ${ms} ms`));
    const timer = systemScheduler.after(ms, late, { keepsProcessAlive: true });
    answer.then(resolve, reject).finally(() => timer.cancel());
  });
}
