import { describeFailure } from '../errors/describe-failure.js';
import { classify } from '../errors/classify.js';
import type { HandOver } from '../transport/transport.port.js';
import { HandlerCall } from './handler-call.js';
import type { Incoming, Intake } from './intake.port.js';
import { isReadable, openMessage, type ReadableMessage } from './opened-message.js';
import type { HandlerCallContext } from './pipeline-context.js';
import { decideRetry } from './retry-policy.js';
import type { Subscription } from './subscription.js';

const LEASE_MS = 30_000;

/** Handles messages without a store: retries are in this process, and what cannot be handled is given up with a log line. */
export class InProcessPipeline {
  constructor(
    private readonly context: HandlerCallContext,
    private readonly subscription: Subscription,
  ) {}

  async handle(intake: Intake): Promise<HandOver> {
    const lease = await intake.lease(1, LEASE_MS);
    const [incoming] = lease?.messages ?? [];
    if (lease === undefined || incoming === undefined) return 'idle';
    try {
      await this.deal(incoming);
      await lease.finish(undefined);
      await intake.settle(lease.messages, 'ack');
      return 'worked';
    } catch {
      await lease.release();
      await intake.settle(lease.messages, 'requeue');
      return 'blocked';
    }
  }

  private async deal(incoming: Incoming): Promise<void> {
    const message = await openMessage(this.subscription, incoming);
    if (!isReadable(message)) return this.giveUp(incoming, message.error);
    for (let attempts = 0; ; attempts += 1) {
      const error = await this.attempt({ ...message, incoming: { ...incoming, attempts, isRedelivery: attempts > 0 } });
      if (error === undefined) return;
      const decision = decideRetry(this.subscription.retry, { error: error.thrown, attempt: attempts + 1 }, this.context.random);
      if (decision.kind === 'dead') return this.giveUp(incoming, error.thrown);
      await this.context.scheduler.sleep(decision.delayMs, this.context.inHand.signal);
    }
  }

  private async attempt(message: ReadableMessage): Promise<{ readonly thrown: unknown } | undefined> {
    try {
      await new HandlerCall(this.context, this.subscription, message).run();
      return undefined;
    } catch (thrown) {
      if (classify(thrown).category === 'cancelled') throw thrown;
      return { thrown };
    }
  }

  private giveUp(incoming: Incoming, error: unknown): void {
    const { code, message } = describeFailure(error);
    this.context.logger.error('a message was given up; without a store there are no dead letters', {
      subscription: this.subscription.spec.name,
      type: incoming.type,
      attributes: incoming.attributes,
      code,
      reason: message,
    });
  }
}
