import { randomUUID } from 'node:crypto';
import { silentLogger } from '../monitoring/logger.js';
import type { DeadLetters, Outbox, Subscriptions } from '../operations/operators.js';
import { StoredDeadLetters, StoredOutbox, StoredSubscriptions } from '../operations/stored-operators.js';
import { SagaOperator } from '../saga/saga-operator.js';
import type { Store, StoreFactory } from '../store/store.port.js';
import type { Branches } from '../try-confirm-cancel/branches.js';
import { StoredBranches } from '../try-confirm-cancel/stored-branches.js';
import { ScopeStorage } from '../unit-of-work/scope.js';
import { runtimeFrom } from './runtime.js';

/** A store with no bus around it, for tools: its schema, and the operators' API over it. */
export interface StoreTools {
  readonly store: Store;
  readonly deadLetters: DeadLetters;
  readonly subscriptions: Subscriptions;
  readonly outbox: Outbox;
  readonly sagas: SagaOperator;
  readonly branches: Branches;
}

/**
 * Makes a store for a tool that handles no messages, such as the command line. It joins nobody: no node, no loops, no hand-over.
 *
 * Nothing is connected yet: `store.open()` connects and checks the server, `store.close()` lets go. The tables may be missing; whoever uses the
 * operators' API looks at `store.schema.status()` first.
 *
 * @param factory what a store package makes, with everything it needs already in it: `tokens` are not resolved here
 * @param service whose subscriptions, dead letters, sagas and branches the operators' API sees
 */
export function storeTools(factory: StoreFactory, service: string): StoreTools {
  const { clock, random, scheduler, logger, handles } = runtimeFrom({ logger: silentLogger });
  const store = factory.create({ service, nodeId: randomUUID(), clock, random, scheduler, logger, scopes: new ScopeStorage(), handles });
  // Running nodes find the change when they look next: nobody here could be told.
  const changed = () => undefined;
  return {
    store,
    deadLetters: new StoredDeadLetters(store, changed),
    subscriptions: new StoredSubscriptions(store, changed),
    outbox: new StoredOutbox(store, changed),
    sagas: new SagaOperator(store.sagas.operations),
    branches: new StoredBranches({ store: store.branches.operations, isInUnit: () => false, changed }),
  };
}
