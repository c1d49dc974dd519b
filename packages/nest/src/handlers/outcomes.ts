import { type Delivery, hfError } from '@holdfast/core';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { defaultIfEmpty, defer, type Observable, tap } from 'rxjs';

/**
 * What became of a handler that interceptors stand around: one that turns its error, or that of a pipe, into a value hides a failure, as does one that goes on before the
 * handler has ended (`timeout`, `race`), and half of its work, or none, would be committed. As with filters, whatever comes of it then, the message has failed. It is an interceptor itself, the one next to the handler.
 */
export class Outcomes implements NestInterceptor {
  private readonly failures = new WeakMap<Delivery, { readonly error: unknown }>();

  /** @param handler its name, for the error of one that was cut off */
  constructor(private readonly handler: string) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const delivery = context.getArgByIndex<Delivery>(1);
    // One further out may call it again.
    const called = defer(() => {
      this.failures.set(delivery, { error: hfError('HF_HANDLER_CUT_OFF', { handler: this.handler }) });
      return next.handle();
    });
    return called.pipe(
      defaultIfEmpty(undefined),
      tap({
        next: () => void this.failures.delete(delivery),
        error: (error: unknown) => void this.failures.set(delivery, { error }),
      }),
    );
  }

  /** @throws what the handler failed with at last */
  assertSucceeded(delivery: Delivery): void {
    const failure = this.failures.get(delivery);
    if (failure !== undefined) throw failure.error;
  }
}
