import type { IdempotencyPolicy } from '../delivery/idempotency-policy.js';
import type { HandlerPolicies } from '../delivery/subscription-options.js';
import { printable } from '../errors/printable.js';
import type { CompensationOptions } from './compensation-options.js';

/** What a check needs to know of a handler with a compensation. */
export interface CompensationCheck {
  readonly policies: Omit<HandlerPolicies<never>, 'compensate'>;
  readonly compensate: CompensationOptions<never>;
  readonly idempotency: IdempotencyPolicy | undefined;
  readonly hasStore: boolean;
  readonly undoRetentionMs: number;
}

/** Tells why what a handler does could not be undone for certain. */
export function checkCompensation(
  { policies, compensate, idempotency, hasStore, undoRetentionMs }: CompensationCheck,
  problem: (text: string) => void,
): void {
  const { transactional, compensates } = policies;
  if (compensates !== undefined)
    problem('has @Compensate with a command and with an undo, and what undoes is not undone: leave one of them out');
  if (typeof compensate.undo !== 'function') problem(`compensate.undo is ${printable(compensate.undo)}; give a function`);
  if (!hasStore) problem('@Compensate needs a store, where it is recorded what there is to undo; add one, such as store: typeorm()');
  if (isKafka(transactional) || isKafka(compensate.transactional))
    problem(
      "@Compensate is not possible with transactional.protocol 'kafka', which commits nothing in the database where it is recorded; use @Transactional()",
    );
  else if (!transactional)
    problem('@Compensate needs @Transactional, because what is done and the record of it are one commit; add it to the handler');
  if (idempotency === undefined) {
    problem('@Compensate needs @Idempotent, because what a repeat does would be undone only once; add it to the handler');
    return;
  }
  if (idempotency.key !== undefined)
    problem(
      '@Compensate is not possible with @Idempotent({ key }): what one saga has undone would be remembered by its key, and a message of another saga with it dropped as a repeat; leave the key out',
    );
  if (idempotency.onExpired === 'handle')
    problem("@Compensate is not possible with onExpired: 'handle': what a late repeat does would be undone only once; leave it out");
  if (idempotency.ttlMs > undoRetentionMs)
    problem(
      `@Compensate: the ttl of @Idempotent is ${idempotency.ttlMs} ms, and aborted sagas are remembered for ${undoRetentionMs} ms; a late message could pass for a new one, so raise undoRetention`,
    );
}

function isKafka(transactional: unknown): boolean {
  return (transactional as { readonly protocol?: unknown } | undefined)?.protocol === 'kafka';
}
