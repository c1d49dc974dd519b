import { randomUUID } from 'node:crypto';
import {
  type Duration,
  type Envelope,
  hfError,
  limitsFrom,
  type MessageLimitOptions,
  type MessageLimits,
  printable,
  type PublishOutcome,
  systemClock,
  systemRandom,
  systemScheduler,
  toMs,
  type Transport,
  type TransportContext,
  type TransportFactory,
} from '@holdfast/core';
import type { OnApplicationShutdown, Type } from '@nestjs/common';
import { NestLoggerAdapter } from '../module/nest-logger.js';
import { envelopeOf, type RelayedMessage } from './outbox-message.js';

const DEFAULT_CLOSE: Duration = '10s';

/** Options of HoldfastOutboxTransport. */
export interface OutboxTransportOptions {
  /** Name of the service; becomes the source of its messages. */
  service: string;
  /** One with a broker, such as `rabbitmq({ url })`; services that are to get the messages name the same. */
  transport: TransportFactory;
  /**
   * Class of the errors for what is refused for good: give NonRetryableMessageError of `@nestjs/outbox`, whose relay knows it by its class. Default: an
   * error with that name, which that relay tries again until its attempts are used up.
   */
  nonRetryable?: new (
    message: string,
    options?: { cause?: unknown },
  ) => Error;
  /** What a message may weigh; a larger one is refused for good. */
  limits?: MessageLimitOptions;
}

/** Stands in for the class of the package, which we do not depend on. */
class NonRetryableMessageError extends Error {
  override readonly name = 'NonRetryableMessageError';
}

/** A message whose outcome somebody waits for. */
interface Sending {
  readonly envelope: Envelope;
  isSettled: boolean;
  settle(error?: unknown): void;
}

/**
 * A transport for the relay of `@nestjs/outbox`, which keeps its table, its leases and its dead letters: messages leave as CloudEvents, persistent, and
 * count as published when the broker has confirmed them.
 *
 * **Guarantee:** a message that is resolved is at the broker, in every queue that wants it. One that no queue wants, or that is refused, rejects with
 * `nonRetryable`; where the outcome is not known, with an error that is worth another attempt. **Not promised:** that a message whose attempt was given
 * up is not sent: it may be, beside its next attempt, with the same id.
 */
export class HoldfastOutboxTransport implements OnApplicationShutdown {
  private readonly context: TransportContext;
  private readonly limits: MessageLimits;
  private transport: Transport;
  private starting: Promise<void> | undefined;
  private waiting: Sending[] = [];
  private closing: Promise<void> | undefined;

  /** @throws HF_CONFIG_INVALID with everything that is wrong */
  constructor(private readonly options: OutboxTransportOptions) {
    const problems = problemsOf(options);
    if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
    const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: new NestLoggerAdapter() };
    this.context = { ...ports, service: options.service, nodeId: randomUUID(), store: undefined };
    this.limits = limitsFrom(options.limits);
    this.transport = options.transport.create(this.context);
  }

  /** A class for the option `transports`: Nest makes the one instance of it, and closes it with the application. */
  static with(options: OutboxTransportOptions): Type<HoldfastOutboxTransport> {
    class BoundOutboxTransport extends HoldfastOutboxTransport {
      constructor() {
        super(options);
      }
    }
    return BoundOutboxTransport;
  }

  /**
   * Publishes a message together with the others of this turn of the event loop. It connects at the first one.
   *
   * @param signal its end gives up waiting
   * @throws `nonRetryable`, HF_PUBLISH_FAILED, HF_STOPPING, and what the transport says when it cannot connect
   */
  publish(message: RelayedMessage, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const givenUp = () => sending.settle(signal?.reason);
      const sending: Sending = {
        envelope: this.envelopeOf(message),
        isSettled: false,
        settle: (error) => {
          sending.isSettled = true;
          signal?.removeEventListener('abort', givenUp);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      signal?.addEventListener('abort', givenUp, { once: true });
      this.waiting.push(sending);
      if (this.waiting.length === 1) setImmediate(() => void this.flush());
    });
  }

  /** Waits for what is under way, at most `timeout`, and lets go of the connections; calling it again waits for the same end. */
  close(timeout: Duration = DEFAULT_CLOSE): Promise<void> {
    this.closing ??= this.transport.close(toMs(timeout, 'timeout'));
    return this.closing;
  }

  onApplicationShutdown(): Promise<void> {
    return this.close();
  }

  private async flush(): Promise<void> {
    const all = this.waiting;
    this.waiting = [];
    try {
      await this.started();
      // While it started, some may have been given up.
      const batch = all.filter(({ isSettled }) => !isSettled);
      const outcomes = batch.length === 0 ? [] : await this.transport.publish(batch.map(({ envelope }) => envelope));
      for (const [index, sending] of batch.entries()) sending.settle(this.errorOf(sending.envelope, outcomes[index] ?? 'unknown'));
    } catch (error) {
      for (const sending of all) sending.settle(error);
    }
  }

  private async started(): Promise<void> {
    if (this.closing !== undefined) throw hfError('HF_STOPPING', { activity: 'publishing' });
    this.starting ??= this.start();
    await this.starting;
  }

  /** One that could not start is let go of, and the next publish tries with a new one. */
  private async start(): Promise<void> {
    try {
      await this.transport.start({ subscriptions: [] });
    } catch (error) {
      const failed = this.transport;
      this.transport = this.options.transport.create(this.context);
      this.starting = undefined;
      await failed.close(0).catch(() => undefined);
      throw error;
    }
  }

  private envelopeOf(message: RelayedMessage): Envelope {
    try {
      return envelopeOf(message, this.options.service, this.limits);
    } catch (cause) {
      throw this.refusal(printable(cause), cause);
    }
  }

  private errorOf({ type, id }: Envelope, outcome: PublishOutcome): Error | undefined {
    if (outcome === 'confirmed') return undefined;
    const error = hfError('HF_PUBLISH_FAILED', { type, id, outcome });
    if (outcome === 'unknown') return error;
    const reason = outcome === 'unroutable' ? 'nobody has subscribed to it' : 'the broker has refused it';
    return this.refusal(`${type} ${id} was not published: ${reason}`, error);
  }

  private refusal(message: string, cause: unknown): Error {
    const { nonRetryable: Refusal = NonRetryableMessageError } = this.options;
    return new Refusal(message, { cause });
  }
}

function problemsOf({ service, transport, nonRetryable }: OutboxTransportOptions): readonly string[] {
  const where = 'HoldfastOutboxTransport';
  const isFactory = typeof transport?.create === 'function';
  return [
    ...(typeof service === 'string' && service !== '' ? [] : [`${where}: service is ${printable(service)}; give the name of the service`]),
    ...(isFactory ? [] : [`${where}: transport is ${printable(transport)}; call the function, as in transport: rabbitmq({ url })`]),
    ...(isFactory && transport.capabilities.readsLog
      ? [
          `${where}: the transport ${transport.transport} reads its own log and publishes nothing; give one with a broker, such as rabbitmq({ url })`,
        ]
      : []),
    ...(nonRetryable === undefined || typeof nonRetryable === 'function'
      ? []
      : [`${where}: nonRetryable is ${printable(nonRetryable)}; give the class NonRetryableMessageError`]),
  ];
}
