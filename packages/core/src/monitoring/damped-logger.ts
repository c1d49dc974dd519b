import type { Clock } from '../time/clock.js';
import type { LogFields, Logger } from './logger.js';

/** The same failure of the same subscription is told once in this time. */
const INTERVAL_MS = 5000;

/**
 * A logger that says a failure once and then keeps quiet about its repeats for a while: when a database is away, every lane of every subscription
 * fails several times a second with the same words. What was left out is counted in the next line. Only lines with an `error` are damped: they
 * repeat, while a dead letter is told for every message.
 */
export function dampedLogger(logger: Logger, clock: Clock): Logger {
  const told = new Map<string, { untilMs: number; repeats: number }>();
  const damped =
    (level: 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      const of = `${message}\n${String(fields.subscription)}`;
      const last = fields.error === undefined ? undefined : told.get(of);
      if (last !== undefined && clock.monotonicMs() < last.untilMs) {
        last.repeats += 1;
        return;
      }
      if (fields.error !== undefined) told.set(of, { untilMs: clock.monotonicMs() + INTERVAL_MS, repeats: 0 });
      logger[level](message, last === undefined || last.repeats === 0 ? fields : { ...fields, repeats: last.repeats });
    };
  return { info: (message, fields) => logger.info(message, fields), warn: damped('warn'), error: damped('error') };
}
