import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import type { DeliveryFacts, FailureFacts } from '../monitoring/event-table.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import { createDelivery, type Delivery, undoneRequest } from './delivery.js';
import { withDelivery } from './delivery-context.js';
import { nameOf, type ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './handling-context.js';
import type { Subscription } from './subscription.js';

/** What events tell of a failure. */
export function failureFacts(error: unknown): FailureFacts {
  const { code, fingerprint } = describeFailure(error);
  return { code, category: classify(error).category, fingerprint, error };
}

/** One call of a handler: its delivery, its time-out, its abort signal. */
export class HandlerCall {
  readonly delivery: Delivery;
  /** What the handler returned, once it has. */
  value: unknown;
  private durationMs = 0;
  /** Made when the handler first looks at its signal: most never do. */
  private controller: AbortController | undefined;
  private abortedBy: { readonly reason: unknown } | undefined;

  constructor(
    private readonly context: HandlerCallContext,
    private readonly subscription: Subscription,
    private readonly message: ReadableMessage,
  ) {
    const { envelope } = message;
    const { undoes } = subscription;
    this.delivery = createDelivery({
      envelope,
      undoes: undoes && undoneRequest(undoes.name, envelope),
      subscription: subscription.spec.name,
      attempt: message.incoming.attempts + 1,
      isRedelivery: message.incoming.isRedelivery,
      deadlineAt: new Date(context.clock.now().getTime() + subscription.timeoutMs),
      signal: () => this.signal(),
    });
  }

  /** Tells the handler that what it does is not wanted any more. */
  abort(reason: unknown): void {
    this.abortedBy ??= { reason };
    this.controller?.abort(this.abortedBy.reason);
  }

  private signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.abortedBy !== undefined) this.controller.abort(this.abortedBy.reason);
    return this.controller.signal;
  }

  /** Runs the handler; settles at its time-out or when stopping gives it up, even when the handler never does. */
  async run(): Promise<void> {
    const { clock } = this.context;
    const startedMs = clock.monotonicMs();
    emit('delivery:started', () => ({ ...this.facts(), isRedelivery: this.delivery.isRedelivery }));
    try {
      this.value = await new Promise<unknown>((resolve, reject) => this.start(resolve, reject));
      failpoint('handler:after');
    } catch (error) {
      const durationMs = clock.monotonicMs() - startedMs;
      emit('delivery:failed', () => ({ ...this.facts(), ...failureFacts(error), durationMs }));
      throw error;
    } finally {
      this.durationMs = clock.monotonicMs() - startedMs;
    }
  }

  private start(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
    const { scheduler, inHand } = this.context;
    const { timeoutMs, spec } = this.subscription;
    const stopping = () => giveUp(hfError('HF_STOPPING', { activity: `a delivery of ${spec.name}` }));
    const timer = scheduler.after(timeoutMs, () => giveUp(hfError('HF_HANDLER_TIMEOUT', { subscription: spec.name, timeoutMs })));
    const done = () => {
      timer.cancel();
      inHand.remove(stopping);
    };
    const giveUp = (error: Error) => {
      done();
      this.abort(error);
      reject(error);
    };
    inHand.add(stopping);
    if (inHand.isGivenUp) {
      stopping();
      return;
    }
    const failed = (error: unknown) => {
      done();
      reject(error);
    };
    if (this.message.late !== undefined) {
      failed(this.message.late);
      return;
    }
    try {
      const called = withDelivery(this.delivery, () => this.subscription.handler(this.message.data as never, this.delivery));
      Promise.resolve(called).then((value) => {
        done();
        resolve(value);
      }, failed);
    } catch (error) {
      failed(error);
    }
  }

  /** What it did is committed. */
  succeeded(): void {
    this.context.failures.succeeded(nameOf(this.message));
    emit('delivery:succeeded', () => {
      const criticalTimeMs = Math.max(0, this.context.clock.now().getTime() - this.delivery.time.getTime());
      return { ...this.facts(), durationMs: this.durationMs, criticalTimeMs };
    });
  }

  /** For events about it. */
  facts(): DeliveryFacts {
    const { id, source, type, key, subscription, attempt } = this.delivery;
    return { id, source, type, key, subscription, attempt };
  }
}
