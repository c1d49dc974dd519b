// The side of a service that knows of the supervisor. Started by hand, a service does without one.
import { ConsoleLogger } from '@nestjs/common';

/** What a service tells its supervisor. */
export interface Ready {
  /** Where it answers HTTP; undefined when it does not. */
  readonly url: string | undefined;
}

const isSupervised = process.send !== undefined;

// The supervisor is gone, however that went. A service may end at any moment, so this is as good as any.
if (isSupervised) process.once('disconnect', () => process.exit());

/** Nest's logger with the service's name; under a supervisor it tells warnings and errors only. */
export function serviceLogger(service: string): ConsoleLogger {
  return new ConsoleLogger({ prefix: service, ...(isSupervised ? { logLevels: ['fatal', 'error', 'warn'] } : {}) });
}

/** Says that the service takes work. */
export function reportReady(url?: string): void {
  process.send?.({ url } satisfies Ready);
}
