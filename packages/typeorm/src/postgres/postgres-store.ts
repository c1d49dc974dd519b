import {
  type BranchStore,
  type CarrierStore,
  type ChoreographyStore,
  type CursorStore,
  type DeadLetterStore,
  type DeliveryStore,
  emit,
  hfError,
  type InboxStore,
  type LeaseStore,
  type LogStore,
  type LogUpkeep,
  type NodeStore,
  type ParkedStore,
  type ReceiptStore,
  type RelayStore,
  type ReplyStore,
  type SagaStore,
  type StepGuardStore,
  type Store,
  type StoreContext,
  type SubscriptionStore,
} from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { connectApart, connectRaw, watchPools } from '../unit-of-work/connections.js';
import { installInterception } from '../unit-of-work/interception.js';
import { TypeormTransactions } from '../unit-of-work/typeorm-transactions.js';
import { PostgresCarrierStore } from './outbox/carrier-store.js';
import { PostgresChoreographyStore } from './choreography/choreography-store.js';
import type { PostgresContext } from './context.js';
import { PostgresCursorStore } from './outbox/cursor-store.js';
import { PostgresDeadLetterStore } from './delivery/dead-letter-store.js';
import { PostgresDeliveryStore } from './delivery/delivery-store.js';
import { PostgresInboxStore } from './delivery/inbox-store.js';
import { LaneMarks } from './outbox/lane-marks.js';
import { PostgresLeaseStore } from './lease-store.js';
import { PostgresHalfMessageStore } from './outbox/half-message-store.js';
import { PostgresLogStore } from './outbox/log-store.js';
import { PostgresNodeStore, sessionName } from './node-store.js';
import { PostgresParkedStore } from './outbox/parked-store.js';
import { PostgresReceiptStore } from './delivery/receipt-store.js';
import { PostgresRelayStore } from './outbox/relay-store.js';
import { PostgresReplyStore } from './delivery/reply-store.js';
import { PostgresSchema } from './schema/schema.js';
import type { Tables } from './schema/tables.js';
import { assertLanes, assertServer, assertSequenceLock } from './server-checks.js';
import { type RawConnection, SqlPool } from './sql/sql.js';
import { PostgresSagaStore } from './saga/saga-store.js';
import { PostgresStepGuardStore } from './saga/step-guard-store.js';
import { PostgresBranchStore } from './try-confirm-cancel/branch-store.js';
import { PostgresSubscriptionStore } from './delivery/subscription-store.js';
import { PostgresLogUpkeep } from './outbox/upkeep.js';
import { PostgresWakeups } from './wakeups.js';

/** Connections of the pool that handlers leave free, at least: one listens, one keeps house, one serves callers. */
const RESERVED_CONNECTIONS = 3;
/** Least pool to start with: a connection that listens, one that keeps house, and one that works. With less a slow handler silences its process. */
const LEAST_POOL = 3;
/** Share of a larger pool that is left to callers. */
const CALLERS_SHARE = 0.25;
/** pg's own default. */
const DEFAULT_POOL = 10;

/** What the PostgreSQL store is made with. */
export interface PostgresStoreOptions {
  /** By name, the default first. */
  readonly dataSources: Readonly<Record<string, DataSource>>;
  readonly tables: Tables;
  /** Lanes of a log that is made now. */
  readonly lanes: number;
  readonly isPreparing: boolean;
}

/** Everything Holdfast keeps in PostgreSQL, on the pool of a TypeORM DataSource. */
export class PostgresStore implements Store {
  readonly description: string;
  readonly transactions: TypeormTransactions;
  readonly schema: PostgresSchema;
  readonly log: LogStore;
  readonly cursors: CursorStore;
  readonly carrier: CarrierStore;
  readonly relay: RelayStore;
  readonly parked: ParkedStore;
  readonly leases: LeaseStore;
  readonly upkeep: LogUpkeep;
  readonly halfMessages: PostgresHalfMessageStore;
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
  readonly wakeups: PostgresWakeups;
  readonly maxConcurrency: number;
  private readonly context: PostgresContext;
  private readonly main: DataSource;
  private uninstall: (() => void)[] = [];

  constructor(
    private readonly options: PostgresStoreOptions,
    private readonly given: StoreContext,
  ) {
    this.main = Object.values(options.dataSources)[0] as DataSource;
    const connect = () => connectRaw(this.main) as Promise<RawConnection>;
    const { service, clock, nodeId, scheduler, logger } = given;
    const pool = new SqlPool(connect, options.isPreparing, sessionName(nodeId));
    const { tables, lanes } = options;
    const context: PostgresContext = { service, tables, pool, clock, marks: new LaneMarks(), lanes, firstLanes: new Map(), nodeId };
    this.context = context;
    const poolSize = poolSizeOf(this.main);
    const left = poolSize - Math.max(RESERVED_CONNECTIONS, Math.ceil(poolSize * CALLERS_SHARE));
    this.maxConcurrency = poolSize < LEAST_POOL ? 0 : Math.max(1, left);
    this.description = `postgres (typeorm${options.tables.schema === undefined ? '' : `, schema ${options.tables.schema}`})`;
    this.transactions = new TypeormTransactions(options.dataSources, given.scopes, options.isPreparing);
    this.schema = new PostgresSchema(pool, options.tables, options.lanes);
    this.log = new PostgresLogStore(context);
    this.cursors = new PostgresCursorStore(context);
    this.carrier = new PostgresCarrierStore(context);
    this.relay = new PostgresRelayStore(context);
    this.parked = new PostgresParkedStore(context);
    this.leases = new PostgresLeaseStore(context);
    this.upkeep = new PostgresLogUpkeep(context);
    this.halfMessages = new PostgresHalfMessageStore(context, {
      connect: (ended) => connectApart(this.main, ended) as Promise<RawConnection>,
      isPreparing: options.isPreparing,
      clock,
    });
    this.sagas = new PostgresSagaStore(context);
    this.stepGuards = new PostgresStepGuardStore(context, (name) => this.poolOf(name));
    this.choreography = new PostgresChoreographyStore(context);
    this.branches = new PostgresBranchStore(context);
    this.inbox = new PostgresInboxStore(context);
    this.receipts = new PostgresReceiptStore(context);
    this.deliveries = new PostgresDeliveryStore(context);
    this.deadLetters = new PostgresDeadLetterStore(context);
    this.subscriptions = new PostgresSubscriptionStore(context);
    this.nodes = new PostgresNodeStore(context);
    this.replies = new PostgresReplyStore(context);
    this.wakeups = new PostgresWakeups(context, connect, { scheduler, logger });
  }

  async open(): Promise<void> {
    const dataSources = Object.entries(this.options.dataSources);
    const problems = dataSources
      .filter(([, { isInitialized }]) => !isInitialized)
      .map(([name]) => `the DataSource ${name} is not initialized; await dataSource.initialize() before the start`);
    if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
    for (const [name, dataSource] of dataSources) {
      const participant = { scopes: this.given.scopes, name, hasOutbox: dataSource === this.main };
      this.uninstall.push(installInterception(dataSource, participant), watchPools(dataSource));
    }
    await assertServer(this.context.pool, this.main);
  }

  async ready(): Promise<void> {
    this.context.lanes = await this.schema.laneCount();
    await assertLanes(this.context);
    await assertSequenceLock(this.context);
    await this.raiseSequences();
  }

  /** Connections to one of the DataSources. */
  private poolOf(name: string): SqlPool {
    const { dataSources, isPreparing } = this.options;
    const source = dataSources[name];
    if (source === undefined) throw hfError('HF_UOW_DATA_SOURCE', { dataSource: name, known: Object.keys(dataSources) });
    return new SqlPool(() => connectRaw(source) as Promise<RawConnection>, isPreparing, sessionName(this.given.nodeId));
  }

  /** Before the first message of this process: what was restored or switched may have left the sequences behind. */
  private async raiseSequences(): Promise<void> {
    for (const { lane, from, to } of await this.upkeep.raiseSequences()) {
      emit('lane:sequence-raised', { lane, from, to });
      this.given.logger.error(
        'the sequence of a lane stood behind what was already read and was raised; was the database switched or restored?',
        { lane, from, to },
      );
    }
  }

  async close(): Promise<void> {
    this.wakeups.stopListening();
    this.halfMessages.close();
    for (const uninstall of this.uninstall) uninstall();
    this.uninstall = [];
  }
}

/** Connections of its pool. What TypeORM passes on to pg in `extra` overrides its own option. */
export function poolSizeOf({ options }: { readonly options: object }): number {
  const { poolSize, extra } = options as { readonly poolSize?: number; readonly extra?: { readonly max?: number } };
  return extra?.max ?? poolSize ?? DEFAULT_POOL;
}
