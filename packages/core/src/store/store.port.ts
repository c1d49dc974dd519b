import type { ChoreographyStore } from '../choreography/choreography.store.port.js';
import type { Logger } from '../monitoring/logger.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Clock } from '../time/clock.js';
import type { ScopeStorage } from '../unit-of-work/scope.js';
import type { TransactionPort } from '../unit-of-work/transaction.port.js';
import type { DeliveryStore } from '../delivery/delivery.store.port.js';
import type { HalfMessageStore } from '../half-message/half-message.store.port.js';
import type { InboxStore } from '../inbox/inbox.store.port.js';
import type { LeaseStore } from '../lease/lease.store.port.js';
import type { CarrierStore } from '../outbox/carrier.store.port.js';
import type { CursorStore, LogStore, LogUpkeep } from '../outbox/log.store.port.js';
import type { ParkedStore, RelayStore } from '../outbox/relay.store.port.js';
import type { DeadLetterStore } from '../operations/dead-letter.store.port.js';
import type { SubscriptionStore } from '../delivery/subscription.store.port.js';
import type { ReplyStore } from '../reply/reply.store.port.js';
import type { ReceiptStore } from '../receipt/receipt.store.port.js';
import type { BranchStore } from '../try-confirm-cancel/branch.store.port.js';
import type { SagaStore } from '../saga/saga.store.port.js';
import type { StepGuardStore } from '../saga/step-guard.store.port.js';
import type { NodeStore } from '../store/node.store.port.js';

/** State of the `holdfast_*` tables. */
export interface SchemaStatus {
  /** Version found; 0 when there are no tables. */
  readonly found: number;
  /** Version this code writes. */
  readonly wanted: number;
}

/** Creates and checks the tables. */
export interface SchemaPort {
  status(): Promise<SchemaStatus>;
  /** Brings the tables to `wanted`; safe to run on several nodes at once. */
  migrate(): Promise<SchemaStatus>;
  /** Which of these transports, by their names in the options, have no lanes in the log yet. */
  transportsWithoutLanes(names: readonly string[]): Promise<readonly string[]>;
  /** Makes lanes of their own, as many as the default has, for those that have none; safe on several nodes at once. A node sees them from its `ready` on. */
  addTransports(names: readonly string[]): Promise<void>;
  /** Statements `migrate` would run from version `from`, as text. */
  sql(from: number): string;
}

/** What was committed somewhere, as far as somebody else needs to look. */
export interface Hint {
  /** Lanes of the log that were written to; undefined: nobody knows. */
  readonly lanes: readonly number[] | undefined;
  readonly hasReplies: boolean;
}

/** Hints between processes. Polling finds everything without them. */
export interface Wakeups {
  /** Tells other processes what was written; coalesced, never in a business transaction. */
  notify(hint: Hint): void;
  /** Calls `wake` when another process told so, or hints may have been missed; false when the database cannot. */
  listen(wake: (hint: Hint) => void): Promise<boolean>;
  /** Listens no more; others are still told. */
  stopListening(): void;
}

/** A database and everything Holdfast keeps in it. */
export interface Store {
  /** For the start-up line, such as `postgres (typeorm)`. */
  readonly description: string;
  readonly transactions: TransactionPort;
  readonly schema: SchemaPort;
  readonly log: LogStore;
  readonly cursors: CursorStore;
  readonly carrier: CarrierStore;
  readonly relay: RelayStore;
  readonly parked: ParkedStore;
  readonly leases: LeaseStore;
  readonly upkeep: LogUpkeep;
  readonly halfMessages: HalfMessageStore;
  readonly sagas: SagaStore;
  readonly stepGuards: StepGuardStore;
  readonly choreography: ChoreographyStore;
  readonly branches: BranchStore;
  readonly inbox: InboxStore;
  readonly receipts: ReceiptStore;
  readonly deliveries: DeliveryStore;
  readonly deadLetters: DeadLetterStore;
  readonly subscriptions: SubscriptionStore;
  readonly nodes: NodeStore;
  readonly replies: ReplyStore;
  readonly wakeups: Wakeups;
  /** Connections handlers may use at once: the pool less a reserve, where it has one; 0 when it is too small to start with. */
  readonly maxConcurrency: number;
  /** Connects, checks the server (version, primary) and takes part in the ORM. */
  open(): Promise<void>;
  /** The tables are there: checks the sequence's lock and the lanes. */
  ready(): Promise<void>;
  /** Lets go of everything; the user's pool stays open. */
  close(): Promise<void>;
}

/** What the engine gives a store. */
export interface StoreContext {
  readonly service: string;
  /** This process, a UUID. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** Where units of work are in scope, and where the store notes writes that go past them (`noteWrite`). */
  readonly scopes: ScopeStorage;
  /** The handles named by `tokens`, resolved by the framework; empty without one. */
  readonly handles: Readonly<Record<string, unknown>>;
}

/** A database to use; made by the store packages. */
export interface StoreFactory {
  /** Its name, for the start-up line. */
  readonly store: string;
  /** Injection tokens of what it needs from a framework's container, by name; empty when it has everything. */
  readonly tokens: Readonly<Record<string, unknown>>;
  create(context: StoreContext): Store;
}
