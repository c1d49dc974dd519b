import { ContextSlot, hfError } from '@holdfast/core';
import { ForbiddenException } from '@nestjs/common';
import { isObservable, type Observable } from 'rxjs';
import { errorAfterFilters } from '../handlers/error-after-filters.js';
import type { HoldfastContext } from './holdfast.context.js';
import { RpcException } from './nest-microservices.js';

/** What Nest's message handlers throw where a guard said no. @source @nestjs/core, FORBIDDEN_MESSAGE (no public entry point) */
const REFUSED_BY_GUARD = 'Forbidden resource';

const calls = new ContextSlot<PatternCall>();

/**
 * One call of a handler through Nest's own pipeline. That pipeline gives errors to exception filters, which answer with whatever they like, by
 * default with a text without the reason. So the call keeps the error the filters were shown, and ends with it.
 */
export class PatternCall {
  private failure: { readonly error: unknown } | undefined;

  constructor(private readonly context: HoldfastContext) {}

  /** The call that is in progress here. */
  static current(): PatternCall | undefined {
    return calls.get();
  }

  /** Told of every error that Nest's filters are asked about. */
  failed(error: unknown): void {
    this.failure = { error: isRefusal(error) ? new ForbiddenException(REFUSED_BY_GUARD, { cause: error }) : error };
  }

  /**
   * Runs it to its end, which for an observable is its completion.
   *
   * @param pipeline Nest's function of the handler
   * @returns what the handler returned, of an observable the last value
   * @throws what the handler, a guard, a pipe or an interceptor threw, or the error a filter put in its place
   */
  async run(pipeline: () => unknown): Promise<unknown> {
    let value: unknown;
    try {
      value = await calls.run(this, async () => {
        const result = await pipeline();
        return isObservable(result) ? this.last(result) : result;
      });
    } catch (thrown) {
      throw this.failure === undefined ? thrown : errorAfterFilters(this.failure.error, thrown);
    }
    if (this.failure !== undefined) throw this.failure.error;
    return value;
  }

  /** The last value; the stream ends with the attempt, at the latest. */
  private last(stream: Observable<unknown>): Promise<unknown> {
    const { signal } = this.context.getDelivery();
    return new Promise((resolve, reject) => {
      let value: unknown;
      const subscription = stream.subscribe({
        next: (given) => {
          value = given;
        },
        error: reject,
        complete: () => {
          // Elsewhere a filter could have answered for an error unseen, and a failure would pass for a success.
          if (calls.get() === this) resolve(value);
          else reject(hfError('HF_NEST_STREAM_CONTEXT', { pattern: this.context.getPattern() }));
        },
      });
      const end = () => {
        subscription.unsubscribe();
        reject(signal.reason);
      };
      if (signal.aborted) end();
      else signal.addEventListener('abort', end);
    });
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof RpcException && error.getError() === REFUSED_BY_GUARD;
}
