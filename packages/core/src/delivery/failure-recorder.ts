import { hfError } from '../errors/catalogue.js';
import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import { identityOf, isReadable, type OpenedMessage } from './opened-message.js';
import type { PipelineContext } from './pipeline-context.js';
import { decideRetry } from './retry-policy.js';
import type { Subscription } from './subscription.js';

/** Wait before a message is tried again whose key another call holds just now; it costs no attempt. */
const CONFLICT_DELAY_MS = 250;

/** Turns failures into stored deliveries. */
export class FailureRecorder {
  constructor(
    private readonly context: PipelineContext,
    private readonly subscription: Subscription,
  ) {}

  /** Writes what a failed attempt leads to: another one later, a dead letter, or an invalid message. */
  async record(tx: Transaction, message: OpenedMessage, error: unknown): Promise<void> {
    const record = isReadable(message) ? this.failed(message, error) : this.invalid(message);
    failpoint('failure:before-record');
    await this.context.store.deliveries.record(tx, [record]);
    failpoint('failure:after-record');
    const freesKey = record.state === 'dead' || record.state === 'invalid' ? this.subscription.onDeadLetter === 'skip' : false;
    if (freesKey && record.key !== undefined)
      await this.context.store.deliveries.free(tx, this.subscription.spec.id as number, [record.key]);
    this.tell(record, error);
  }

  /** What nobody could read, with its body and the reason. */
  invalid(message: OpenedMessage): DeliveryRecord {
    const error = 'error' in message ? message.error : undefined;
    return {
      ...this.base(message),
      state: 'invalid',
      attempts: message.incoming.attempts,
      delayMs: 0,
      failure: describeFailure(error),
      isSuspect: false,
    };
  }

  /** Not handled and not going to be, for a reason of ours. */
  dead(message: OpenedMessage, error: unknown): DeliveryRecord {
    return {
      ...this.base(message),
      state: 'dead',
      attempts: message.incoming.attempts,
      delayMs: 0,
      failure: describeFailure(error),
      isSuspect: false,
    };
  }

  /** Its attempts were used up by processes that died of it. */
  killed(message: OpenedMessage): DeliveryRecord {
    return this.dead(
      message,
      hfError('HF_HANDLER_UNSETTLED_KILLED', { subscription: this.subscription.spec.name, attempts: message.incoming.attempts }),
    );
  }

  /** Waits behind an unfinished delivery of its key. */
  waiting(message: OpenedMessage): DeliveryRecord {
    return {
      ...this.base(message),
      state: 'waiting',
      attempts: message.incoming.attempts,
      delayMs: 0,
      failure: undefined,
      isSuspect: false,
    };
  }

  /** Put aside because a process died near it: to be counted before it is handled, and handled alone. */
  suspect(message: OpenedMessage, isFirstOfKey: boolean): DeliveryRecord {
    const state = isFirstOfKey ? 'retry' : 'waiting';
    return { ...this.base(message), state, attempts: message.incoming.attempts, delayMs: 0, failure: undefined, isSuspect: true };
  }

  private failed(message: OpenedMessage, error: unknown): DeliveryRecord {
    const { attempts } = message.incoming;
    const failure = describeFailure(error);
    if (classify(error).category === 'conflict') {
      return { ...this.base(message), state: 'retry', attempts, delayMs: CONFLICT_DELAY_MS, failure, isSuspect: false };
    }
    const decision = decideRetry(this.subscription.retry, { error, attempt: attempts + 1 }, this.context.random);
    const delayMs = decision.kind === 'retry' ? decision.delayMs : 0;
    return { ...this.base(message), state: decision.kind, attempts: attempts + 1, delayMs, failure, isSuspect: false };
  }

  private base(message: OpenedMessage) {
    const { spec } = this.subscription;
    return { subscriptionId: spec.id as number, message: message.incoming, identity: identityOf(message), key: message.envelope?.key };
  }

  private tell({ state, attempts, delayMs, message, failure, identity, key }: DeliveryRecord, error: unknown): void {
    const subscription = this.subscription.spec.name;
    const facts = () => {
      const about = { id: identity?.id ?? '', source: identity?.source ?? '', type: message.type, key, subscription, attempt: attempts };
      const why = { code: failure?.code ?? '', category: classify(error).category, fingerprint: failure?.fingerprint ?? '', error };
      return { ...about, ...why };
    };
    if (state === 'retry') {
      emit('delivery:retry-scheduled', () => ({ ...facts(), delayMs }));
      return;
    }
    const text = state === 'dead' ? 'dead letter' : 'message cannot be read';
    this.context.logger.warn(text, {
      subscription,
      type: message.type,
      id: identity?.id,
      attempts,
      code: failure?.code,
      reason: failure?.message,
    });
    if (state === 'dead') emit('delivery:dead-lettered', facts);
    if (state === 'invalid') emit('message:invalid', () => ({ ...facts(), bytes: message.body.byteLength }));
  }
}
