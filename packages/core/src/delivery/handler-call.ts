import { hfError } from '../errors/catalogue.js';
import { type DeliveryFacts } from '../monitoring/event-table.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import { createDelivery, type Delivery } from './delivery.js';
import { withDelivery } from './delivery-context.js';
import type { ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './pipeline-context.js';
import type { Subscription } from './subscription.js';

/** One call of a handler: its delivery, its time-out, its abort signal. */
export class HandlerCall {
  readonly delivery: Delivery;
  private durationMs = 0;
  private readonly controller = new AbortController();

  constructor(
    private readonly context: HandlerCallContext,
    private readonly subscription: Subscription,
    private readonly message: ReadableMessage,
  ) {
    this.delivery = createDelivery({
      envelope: message.envelope,
      subscription: subscription.spec.name,
      attempt: message.incoming.attempts + 1,
      isRedelivery: message.incoming.isRedelivery,
      deadlineAt: new Date(context.clock.now().getTime() + subscription.timeoutMs),
      signal: () => this.controller.signal,
    });
  }

  /** Tells the handler that what it does is not wanted any more. */
  abort(reason: unknown): void {
    this.controller.abort(reason);
  }

  /** Runs the handler; settles at its time-out or when stopping gives it up, even when the handler never does. */
  async run(): Promise<unknown> {
    const { stopping } = this.context;
    const { name } = this.subscription.spec;
    const startedMs = this.context.clock.monotonicMs();
    emit('delivery:started', () => ({ ...this.facts(), isRedelivery: this.delivery.isRedelivery }));
    const given = await new Promise<unknown>((resolve, reject) => {
      const giveUp = (error: Error) => {
        this.abort(error);
        reject(error);
      };
      const onStop = () => giveUp(hfError('HF_STOPPING', { activity: `a delivery of ${name}` }));
      const timer = this.context.scheduler.after(this.subscription.timeoutMs, () =>
        giveUp(hfError('HF_HANDLER_TIMEOUT', { subscription: name, timeoutMs: this.subscription.timeoutMs })),
      );
      stopping.addEventListener('abort', onStop, { once: true });
      const settled = () => {
        timer.cancel();
        stopping.removeEventListener('abort', onStop);
      };
      this.call().then(resolve, reject).finally(settled);
      if (stopping.aborted) onStop();
    });
    failpoint('handler:after');
    this.durationMs = this.context.clock.monotonicMs() - startedMs;
    return given;
  }

  /** What it did is committed. */
  succeeded(): void {
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

  private async call(): Promise<unknown> {
    return withDelivery(this.delivery, () => this.subscription.handler(this.message.data as never, this.delivery));
  }
}
