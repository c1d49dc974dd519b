import { type Delivery, hfError } from '@holdfast/core';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { defaultIfEmpty, defer, type Observable, tap } from 'rxjs';

/**
 * What became of a handler that interceptors stand around: one that turns its error, or that of a pipe, into a value hides a failure, as does one that goes on before the
 * handler has ended (`timeout`, `race`), and half of its work, or none, would be committed. As with filters, whatever comes of it then, the message has failed. It is an interceptor itself, the one next to the handler.
 */
export class Outcomes implements NestInterceptor {
  private readonly calls = new WeakMap<Delivery, Calls>();

  /** @param handler its name, for the error of one that was cut off */
  constructor(private readonly handler: string) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const delivery = context.getArgByIndex<Delivery>(1);
    const calls = this.calls.get(delivery) ?? { open: 0, failure: undefined };
    this.calls.set(delivery, calls);
    // One further out may call it again.
    return defer(() => {
      calls.open += 1;
      let left = 1;
      const over = (failure?: Calls['failure']) => {
        calls.open -= left;
        left = 0;
        calls.failure = failure;
      };
      return defer(() => next.handle()).pipe(
        defaultIfEmpty(undefined),
        tap({ next: () => over(), error: (error: unknown) => over({ error }) }),
      );
    });
  }

  /** @throws what the handler failed with at last; HF_HANDLER_CUT_OFF when a call of it has not ended */
  assertSucceeded(delivery: Delivery): void {
    const { open = 0, failure } = this.calls.get(delivery) ?? {};
    if (failure !== undefined) throw failure.error;
    if (open > 0) throw hfError('HF_HANDLER_CUT_OFF', { handler: this.handler });
  }
}

/** Of the handler, for one delivery. */
interface Calls {
  /** Begun and not ended. */
  open: number;
  /** That of the call which ended last. */
  failure: { readonly error: unknown } | undefined;
}
