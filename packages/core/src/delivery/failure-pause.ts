import type { Logger } from '../monitoring/logger.js';
import { describeFailure } from '../errors/describe-failure.js';
import { emit } from '../monitoring/events.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { FailurePausePolicy } from './failure-pause-options.js';

/** What a failure pause works with. */
export interface FailurePauseContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Whose turn it is: everybody's, that of one message which shows whether the cause is gone, or nobody's. */
export type Turn = 'all' | 'probe' | 'none';

/**
 * Holds a subscription back while most of its deliveries fail, so that an outage does not use up the attempts of everything that waits.
 *
 * - *delivering*: everything goes. When of the latest messages more failed than the policy says, it pauses. A message counts once, by how its
 *   latest attempt ended: a few messages that fail again and again never outweigh the others.
 * - *paused*: nothing goes. How earlier deliveries end says nothing any more. When its time is over, it probes.
 * - *probing*: one message goes, and nothing else meanwhile. If it succeeds, everything goes again, and the next pause is a short one; if it
 *   fails, the next pause is twice as long. If it came to neither, another one goes.
 *
 * It is about this process: others find out by themselves.
 *
 * @source Nygard, "Release It!", circuit breaker
 */
export class FailurePause {
  private state: 'delivering' | 'paused' | 'probing' = 'delivering';
  /** The latest messages, the oldest first: whether their latest attempt failed. */
  private readonly latest = new Map<string, boolean>();
  private failures = 0;
  private untilMs = 0;
  /** In a row, without a success. */
  private pauses = 0;
  private isProbeInWork = false;

  /** @param policy undefined: it never pauses */
  constructor(
    private readonly subscription: string,
    private readonly policy: FailurePausePolicy | undefined,
    private readonly context: FailurePauseContext,
  ) {}

  get isDelivering(): boolean {
    return this.state === 'delivering';
  }

  /** Asked before each hand-over; a `probe` has to be told the end of. */
  turn(): Turn {
    if (this.state === 'delivering') return 'all';
    if (this.state === 'paused' && this.nowMs() >= this.untilMs) this.state = 'probing';
    if (this.state === 'paused' || this.isProbeInWork) return 'none';
    this.isProbeInWork = true;
    return 'probe';
  }

  /** The hand-over of a probe is over, whatever it came to. */
  probeEnded(): void {
    this.isProbeInWork = false;
  }

  /** A delivery was handled, and that is committed. */
  succeeded(message: string): void {
    if (this.policy === undefined || this.state === 'paused') return;
    if (this.state === 'probing') this.resume();
    this.note(this.policy, message, false);
  }

  /** An attempt of a delivery failed. */
  failed(message: string, error: unknown): void {
    const { policy } = this;
    if (policy === undefined || this.state === 'paused') return;
    if (this.state === 'delivering') {
      this.note(policy, message, true);
      if (this.latest.size < policy.messages || this.failures <= policy.share * this.latest.size) return;
    }
    this.pause(policy, error);
  }

  private note({ messages }: FailurePausePolicy, message: string, isFailed: boolean): void {
    this.forget(message);
    this.latest.set(message, isFailed);
    if (isFailed) this.failures += 1;
    if (this.latest.size <= messages) return;
    const [oldest] = this.latest.keys();
    if (oldest !== undefined) this.forget(oldest);
  }

  private forget(message: string): void {
    if (this.latest.get(message)) this.failures -= 1;
    this.latest.delete(message);
  }

  private pause({ delayMs, maxDelayMs }: FailurePausePolicy, error: unknown): void {
    const fullMs = Math.min(maxDelayMs, delayMs * 2 ** this.pauses);
    const forMs = Math.round(fullMs / 2 + (this.context.random.next() * fullMs) / 2);
    const { subscription, failures } = this;
    const { code, message } = describeFailure(error);
    this.context.logger.warn(
      this.state === 'probing'
        ? 'the probe of a paused subscription failed; it pauses again'
        : 'most deliveries fail; the subscription pauses',
      { subscription, ...(this.state === 'probing' ? {} : { failed: failures, of: this.latest.size }), forMs, code, reason: message },
    );
    this.state = 'paused';
    this.untilMs = this.nowMs() + forMs;
    this.pauses += 1;
    this.clear();
    emit('subscription:paused', { subscription, reason: 'failures', forMs });
  }

  private resume(): void {
    const { subscription, pauses } = this;
    this.state = 'delivering';
    this.pauses = 0;
    this.context.logger.info('a delivery succeeded; the subscription goes on after its pause', { subscription, pauses });
    emit('subscription:resumed', { subscription });
  }

  private clear(): void {
    this.latest.clear();
    this.failures = 0;
  }

  private nowMs(): number {
    return this.context.clock.monotonicMs();
  }
}
