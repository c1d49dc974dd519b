import type { Delivery } from '../delivery/delivery.js';
import { ownSubscription, PATIENT } from '../delivery/own-subscription.js';
import type { Registration } from '../delivery/subscription-builder.js';
import type { HandlerPolicies } from '../delivery/subscription-options.js';
import { hfError } from '../errors/catalogue.js';
import { describeMessages } from '../message/message-class.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import { type KnownTransports, routeOf } from '../transport/route.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { ChoreographyStore } from './choreography.store.port.js';
import { SAGA_ABORTED } from './saga-aborted.js';
import { undoName } from './undo-name.js';

/** The subscription that takes aborts over the default transport; those over others have their names behind it. */
export const ABORTS_SUBSCRIPTION = 'holdfast.saga-aborted';

/** Characters of a reason that are kept. */
const REASON_LENGTH = 1000;

/** What undoing works with. */
export interface ChoreographyParts {
  readonly store: ChoreographyStore;
  readonly transports: KnownTransports;
  readonly currentTransaction: () => Transaction | undefined;
  /** Runs it after the commit of the unit in scope. */
  readonly afterCommit: (then: () => void) => void;
  /** Stored deliveries are due: somebody should look. */
  readonly due: () => void;
}

/**
 * Puts beside each handler with a compensation what undoes it, and before all of them what takes aborts: nothing of a saga may be handled while its
 * abort would pass by.
 */
export function withCompensations(registrations: readonly Registration[], parts: ChoreographyParts): readonly Registration[] {
  const compensable = registrations.filter(({ policies }) => policies.compensate !== undefined);
  if (compensable.length === 0) return registrations;
  const aborts = [...parts.transports.keys()].map((transport) => abortsOver(transport, { parts, compensable }));
  return [...aborts, ...registrations, ...compensable.map((each) => undoing(each, parts))];
}

function abortsOver(
  transport: string,
  { parts, compensable }: { readonly parts: ChoreographyParts; readonly compensable: readonly Registration[] },
): Registration {
  const own = ownSubscription(ABORTS_SUBSCRIPTION, SAGA_ABORTED, transport);
  // Who is given messages from before has to know of the aborts from before.
  const isFromEarliest = compensable.some(({ policies, types }) => policies.from === 'earliest' && transportOf(types, parts) === transport);
  return {
    types: own.types,
    handler: (message: never, delivery: Delivery) => abort(message as { readonly reason?: unknown }, delivery, parts),
    policies: {
      name: own.name,
      from: isFromEarliest ? 'earliest' : 'now',
      transactional: true,
      retry: PATIENT,
    },
  };
}

async function abort(
  { reason: given }: { readonly reason?: unknown },
  { sagaId: id }: Delivery,
  { store, currentTransaction, afterCommit, due }: ChoreographyParts,
): Promise<void> {
  if (id === undefined) throw hfError('HF_SAGA_ABORT_OF_NONE', {});
  const reason = typeof given === 'string' ? given.slice(0, REASON_LENGTH) : '';
  const { isNew, parts } = await store.abort(transactionOf(currentTransaction), { id, reason });
  failpoint('choreography:after-abort');
  if (!isNew) return;
  afterCommit(() => {
    emit('saga:aborted', () => ({ id, reason, parts }));
    if (parts > 0) due();
  });
}

/** What undoes the handler: it is given stored deliveries only. */
function undoing({ types, policies }: Registration, parts: ChoreographyParts): Registration {
  const { undo, retry, timeout, transactional } = policies.compensate as NonNullable<HandlerPolicies<never>['compensate']>;
  const { name, formerly, concurrency } = policies;
  const { store, currentTransaction, afterCommit, due } = parts;
  return {
    types,
    isOnlyStored: true,
    handler: async (message: never, delivery: Delivery) => {
      await undo(message, delivery);
      const id = delivery.sagaId as string;
      const isMore = await store.undone(transactionOf(currentTransaction), id);
      failpoint('choreography:after-undo');
      afterCommit(() => {
        emit('saga:part-undone', () => ({ id, message: delivery.id, source: delivery.source, type: delivery.type, subscription: name }));
        if (isMore) due();
      });
    },
    policies: {
      name: undoName(name),
      ...(formerly === undefined ? {} : { formerly: [formerly].flat().map(undoName) }),
      retry,
      timeout,
      concurrency,
      transactional: transactional ?? true,
    },
  };
}

/** Name of the transport the types are served by; undefined where that is told elsewhere. */
function transportOf(types: Registration['types'], { transports }: ChoreographyParts): string | undefined {
  try {
    const [first] = describeMessages(types);
    return first && routeOf(transports, first.destination, first.type).transport;
  } catch {
    return undefined;
  }
}

function transactionOf(currentTransaction: ChoreographyParts['currentTransaction']): Transaction {
  const tx = currentTransaction();
  if (tx === undefined) throw hfError('HF_INVARIANT', { fact: 'a part of a saga was dealt with outside any transaction' });
  return tx;
}
