import { hfError } from '../errors/catalogue.js';
import type { Scheduler } from '../time/scheduler.js';

/** What is asked of the broker, and how long an answer may take. */
export interface BrokerRequest {
  readonly request: string;
  readonly timeoutMs: number;
}

/** Waits for an answer, but not for ever. @throws HF_BROKER_UNANSWERED, and whatever `answer` rejects with */
export async function within<T>(scheduler: Scheduler, { request, timeoutMs }: BrokerRequest, answer: Promise<T>): Promise<T> {
  let late = (_error: Error): void => undefined;
  const deadline = new Promise<never>((_, reject) => {
    late = reject;
  });
  const timer = scheduler.after(timeoutMs, () => late(hfError('HF_BROKER_UNANSWERED', { request, timeoutMs })), {
    keepsProcessAlive: true,
  });
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    timer.cancel();
  }
}
