import {
  type CursorStore,
  type DeadLetterStore,
  type DeliveryStore,
  emit,
  hfError,
  type InboxStore,
  type LogStore,
  type LogUpkeep,
  type NodeStore,
  type RelayStore,
  type Store,
  type StoreContext,
  type SubscriptionStore,
} from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { connectRaw, watchPools } from '../unit-of-work/connections.js';
import { installInterception } from '../unit-of-work/interception.js';
import { TypeormTransactions } from '../unit-of-work/typeorm-transactions.js';
import type { PostgresContext } from './context.js';
import { PostgresCursorStore } from './cursor-store.js';
import { PostgresDeadLetterStore } from './dead-letter-store.js';
import { PostgresDeliveryStore } from './delivery-store.js';
import { PostgresInboxStore } from './inbox-store.js';
import { LaneMarks } from './lane-marks.js';
import { PostgresLogStore } from './log-store.js';
import { PostgresNodeStore, sessionName } from './node-store.js';
import { PostgresRelayStore } from './relay-store.js';
import { PostgresSchema } from './schema/schema.js';
import type { Tables } from './schema/tables.js';
import { assertLanes, assertServer, assertSequenceLock } from './server-checks.js';
import { type RawConnection, SqlPool } from './sql.js';
import { PostgresSubscriptionStore } from './subscription-store.js';
import { PostgresLogUpkeep } from './upkeep.js';
import { PostgresWakeups } from './wakeups.js';

/** Connections of the pool that handlers leave free, at least: one listens, one keeps house, one serves callers. */
const RESERVED_CONNECTIONS = 3;
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
  readonly relay: RelayStore;
  readonly upkeep: LogUpkeep;
  readonly inbox: InboxStore;
  readonly deliveries: DeliveryStore;
  readonly deadLetters: DeadLetterStore;
  readonly subscriptions: SubscriptionStore;
  readonly nodes: NodeStore;
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
    const context: PostgresContext = { service, tables: options.tables, pool, clock, marks: new LaneMarks(), lanes: options.lanes, nodeId };
    this.context = context;
    const { poolSize = (this.main.options.extra as { max?: number } | undefined)?.max ?? DEFAULT_POOL } = this.main.options as {
      poolSize?: number;
    };
    this.maxConcurrency = Math.max(1, poolSize - Math.max(RESERVED_CONNECTIONS, Math.ceil(poolSize * CALLERS_SHARE)));
    this.description = `postgres (typeorm${options.tables.schema === undefined ? '' : `, schema ${options.tables.schema}`})`;
    this.transactions = new TypeormTransactions(options.dataSources, given.scopes);
    this.schema = new PostgresSchema(pool, options.tables, options.lanes);
    this.log = new PostgresLogStore(context);
    this.cursors = new PostgresCursorStore(context);
    this.relay = new PostgresRelayStore(context);
    this.upkeep = new PostgresLogUpkeep(context);
    this.inbox = new PostgresInboxStore(context);
    this.deliveries = new PostgresDeliveryStore(context);
    this.deadLetters = new PostgresDeadLetterStore(context);
    this.subscriptions = new PostgresSubscriptionStore(context);
    this.nodes = new PostgresNodeStore(context);
    this.wakeups = new PostgresWakeups(context, connect, { scheduler, logger });
  }

  async open(): Promise<void> {
    for (const [name, dataSource] of Object.entries(this.options.dataSources)) {
      const participant = { scopes: this.given.scopes, name, hasOutbox: dataSource === this.main };
      if (!dataSource.isInitialized)
        throw hfError('HF_STORE_UNSUPPORTED', {
          database: `the DataSource ${name}`,
          reason: 'it is not initialized; await dataSource.initialize() first',
        });
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
    for (const uninstall of this.uninstall) uninstall();
    this.uninstall = [];
  }
}
