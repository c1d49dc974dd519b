import { hfError } from '../errors/catalogue.js';
import type { Logger } from '../monitoring/logger.js';
import { before } from '../time/before.js';
import type { Scheduler } from '../time/scheduler.js';

/** What is asked of the broker, and how long an answer may take. */
export interface BrokerRequest {
  readonly request: string;
  readonly timeoutMs: number;
}

/** Waits for an answer, but not for ever. @throws HF_BROKER_UNANSWERED, and whatever `answer` rejects with */
export function within<T>(scheduler: Scheduler, { request, timeoutMs }: BrokerRequest, answer: Promise<T>): Promise<T> {
  const tooLate = () => hfError('HF_BROKER_UNANSWERED', { request, timeoutMs });
  return before(scheduler, { ms: timeoutMs, tooLate, keepsProcessAlive: true }, answer);
}

/** What ending something needs. */
export interface EndContext {
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/** Waits for the end of a part of a transport, at most so long, and keeps the process alive meanwhile. Never rejects: what fails is logged. */
export async function atMost({ scheduler, logger }: EndContext, ms: number, end: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const done = end.catch((error: unknown) => logger.warn('a part of the transport did not end in good order', { error }));
  await Promise.race([done, scheduler.sleep(ms, late.signal, { keepsProcessAlive: true }).catch(() => undefined)]);
  late.abort();
}
