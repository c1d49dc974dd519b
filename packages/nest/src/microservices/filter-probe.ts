import { Catch, type ExceptionFilter } from '@nestjs/common';
import { PatternCall } from './pattern-call.js';

/**
 * Matches no error, and sees every one: Nest asks each filter's classes whether the error is one of theirs before it chooses. So the application's
 * own filters are chosen and run by Nest, and still no answer of theirs can hide that the call has failed.
 */
// biome-ignore lint/complexity/noStaticOnlyClass: Nest wants a class
class SeenByPatternCall {
  static [Symbol.hasInstance](error: unknown): boolean {
    PatternCall.current()?.failed(error);
    return false;
  }
}

/** The filter that is asked first and never chosen. */
@Catch(SeenByPatternCall)
class FilterProbe implements ExceptionFilter {
  catch(error: unknown): never {
    throw error;
  }
}

/** One for all handlers: it has no state of its own, and other transports pass it by. */
export const filterProbe: ExceptionFilter = new FilterProbe();
