import type { ReadForeign } from '../message/foreign.js';
import type { MessageDescription } from '../message/message-class.js';
import type { MessageLimits } from '../message/limits.js';
import type { SubscriptionSpec } from '../transport/transport.port.js';
import type { LocalUnitOptions } from '../unit-of-work/unit-of-work.js';
import type { Delivery } from './delivery.js';
import type { FailurePausePolicy } from './failure-pause-options.js';
import type { UndoneStep } from '../participant/undone-step.js';
import type { IdempotencyPolicy } from './idempotency-policy.js';
import type { RetryPolicy } from './retry-policy.js';

/** A handler with everything that was decided about it at start. */
export interface Subscription {
  readonly spec: SubscriptionSpec;
  /** Name of the transport that serves it. */
  readonly transport: string;
  readonly messages: readonly MessageDescription[];
  readonly handler: (message: never, delivery: Delivery) => unknown;
  readonly retry: RetryPolicy;
  /** Without a store: longest wait between two attempts, so that all of them end before a broker takes the message back; else `Infinity`. */
  readonly longestWaitMs: number;
  readonly idempotency: IdempotencyPolicy | undefined;
  /** Undefined: the handler runs outside any database transaction. */
  readonly unit: LocalUnitOptions | undefined;
  readonly timeoutMs: number;
  /** Undefined: it never pauses by itself. */
  readonly failurePause: FailurePausePolicy | undefined;
  readonly onDeadLetter: 'block' | 'skip';
  /** The subscription that undoes what its handler did for a saga, and the number of its row; undefined: nothing is recorded. */
  readonly undo: { readonly name: string; readonly id: number | undefined } | undefined;
  /** True when it is given stored deliveries only: no transport serves it. */
  readonly isOnlyStored: boolean;
  readonly formerly: readonly string[];
  /** Type of the command whose requests it undoes. */
  readonly compensates: string | undefined;
  /** The handler of that command, once all have their numbers. */
  readonly undoes: UndoneStep | undefined;
  /** Another handler undoes its requests. */
  readonly isUndoable: boolean;
  readonly limits: MessageLimits;
  /** Reads messages that are no CloudEvents. */
  readonly readForeign: ReadForeign | undefined;
}
