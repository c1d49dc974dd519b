import { Logger } from '@nestjs/common';

/** What a filter written for HTTP throws when it finds no response to write to. */
const PROGRAMMING_ERRORS: readonly unknown[] = [TypeError, ReferenceError, RangeError];

const logger = new Logger('Holdfast');

/**
 * The error a message has failed with once exception filters have seen it: the one a filter threw in its place, unless the filter itself broke or
 * threw no error at all (Nest's default one throws an object without the reason).
 *
 * @param error what the filters were shown
 * @param thrown what came out of them
 */
export function errorAfterFilters(error: unknown, thrown: unknown): unknown {
  if (thrown === error || !(thrown instanceof Error)) return error;
  if (!PROGRAMMING_ERRORS.some((type) => thrown instanceof (type as typeof TypeError))) return thrown;
  logger.warn(
    `An exception filter failed in a message handler, and its error is not used: ${String(thrown)}. Let it look at host.getType(), which is not 'http' here.`,
  );
  return error;
}
