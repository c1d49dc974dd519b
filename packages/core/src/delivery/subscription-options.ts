import type { CompensationOptions } from '../choreography/compensation-options.js';
import type { Command, MessageClass, MessageOf } from '../message/message.js';
import type { Duration } from '../time/duration.js';
import type { UnitOptions } from '../unit-of-work/unit-of-work.js';
import type { Delivery } from './delivery.js';
import type { FailurePauseOptions } from './failure-pause-options.js';
import type { IdempotentOptions, RetryOptions } from './policies.js';

/** What a handler of M may return: for a command its reply. */
export type HandlerResult<M> = M extends Command<infer R> ? ([R] extends [void] ? unknown : R | Promise<R>) : unknown;

/** A function that handles M; for a command its result is the reply. */
export type Handler<M> = (message: M, delivery: Delivery) => HandlerResult<M>;

/** Limits and start position of a subscription. */
export interface SubscriptionLimits {
  /** Where a new subscription begins, on every broker alike: with what commits from now on, or with the oldest message kept; default 'now'. */
  from?: 'now' | 'earliest';
  /**
   * New messages (with `batchSize`: batches) in work at once in this process, at least 1; default 10. Where there is a store, retries come on top: up to
   * four at once, or `concurrency` if that is less, and one message that is handled alone because a process died near it. With `@Transactional` each
   * holds one database connection, and the pool bounds all of them together.
   */
  concurrency?: number;
  /** Messages handled in one transaction, at least 1, those of one key one after another; needs `@Transactional`; default 1. */
  batchSize?: number;
  /** For one attempt; default '30s'. */
  timeout?: Duration;
  /** When it pauses by itself because most of its deliveries fail, so that an outage does not use up the attempts of all that waits; false: never. */
  failurePause?: false | FailurePauseOptions;
  /** Names it had before; their backlog is taken over. */
  formerly?: string | readonly string[];
}

/** How a subscription reads. */
export type SubscriptionOptions = SubscriptionLimits &
  (
    | {
        /** Default 'none'. */
        ordering?: 'none';
        onDeadLetter?: undefined;
      }
    | {
        /** One message per key in work, later ones wait; needs `@Idempotent`, and a key on every message (HF_ORDERING_KEY_MISSING). */
        ordering: 'key';
        /** Whether a dead letter blocks its key or frees it; default 'block'. */
        onDeadLetter?: 'block' | 'skip';
      }
  );

/** Options of a handler: it needs a durable name; for one command, which has one owner, the command's type is the default. */
export type OnMessageArgs<T> =
  T extends MessageClass<Command<unknown>>
    ? [options?: SubscriptionOptions & { name?: string }]
    : [
        options: SubscriptionOptions & {
          /** Durable name of the subscription, unique in the service; a changed one is a new subscription. */ name: string;
        },
      ];

/** The same policies as the decorators, for handlers given as functions. */
export type HandlerPolicies<M> = SubscriptionOptions & {
  /** Durable name of the subscription, unique in the service. */
  name: string;
  /** As `@Retry`: how often and how fast to try again; default: 5 attempts. */
  retry?: number | false | RetryOptions;
  /** As `@Idempotent`: repeated deliveries have one effect; default false. */
  idempotent?: boolean | IdempotentOptions<[message: M, delivery: Delivery]>;
  /** As `@Transactional`: the handler's rows and messages commit with the place of the message; default false. */
  transactional?: boolean | UnitOptions;
  /**
   * As `@Compensate` over a command: it undoes the requests of a saga to the handler of that command, in the same service. Called only for one that ran. Both
   * need `idempotent`.
   */
  compensates?: MessageClass<Command<unknown>>;
  /** As `@Compensate`: what undoes the handler when the saga of its message is aborted; needs a store, `idempotent` and `transactional`. Default: nothing does. */
  compensate?: CompensationOptions<M>;
};

/** The classes a subscription names, as a list. */
export type MessageClasses = readonly MessageClass[];

/** The union of what a list of classes carries. */
export type MessagesOf<T> = MessageOf<T>;
