import { randomUUID } from 'node:crypto';
import {
  type Clock,
  type Logger,
  ScopeStorage,
  type Store,
  type SubscriptionDeclaration,
  silentLogger,
  systemClock,
  systemRandom,
  systemScheduler,
} from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** How a store is opened. */
export interface OpenOptions {
  readonly lanes?: number;
  readonly poolSize?: number;
  readonly service?: string;
  readonly schema?: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** False for a store behind a pooler that does not keep prepared statements. */
  readonly prepare?: boolean;
  /** False leaves it to Holdfast how long a connection may take to be opened. */
  readonly hasTimeOut?: boolean;
  /** False leaves the tables as they are and `ready` uncalled. */
  readonly migrate?: boolean;
}

/** A store as one process has it: with a pool and an identity of its own. */
export interface OpenStore {
  readonly store: Store;
  readonly dataSource: DataSource;
  readonly nodeId: string;
  /** Registers subscriptions of this process; their numbers, in order. */
  register(...names: readonly string[]): Promise<number[]>;
  query<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** Type of every message in the tests of the log. */
export const TYPE = 'test.happened';

/** Opens a store on a database; several of them are several processes. */
export async function openStore(url: string, options: OpenOptions = {}): Promise<OpenStore> {
  const {
    lanes = 8,
    poolSize = 10,
    service = 'orders',
    schema,
    logger = silentLogger,
    clock = systemClock,
    prepare = true,
    hasTimeOut = true,
    migrate = true,
  } = options;
  const dataSource = await new DataSource({
    type: 'postgres',
    url,
    poolSize,
    // A server that is killed under it is no surprise here.
    poolErrorHandler: () => undefined,
    extra: hasTimeOut ? { connectionTimeoutMillis: 5000 } : {},
  }).initialize();
  const nodeId = randomUUID();
  const ports = { clock, random: systemRandom, scheduler: systemScheduler, logger, scopes: new ScopeStorage(), handles: {} };
  const store = typeorm({ dataSource, lanes, prepare, ...(schema === undefined ? {} : { schema }) }).create({ service, nodeId, ...ports });
  await store.open();
  if (migrate) {
    await store.schema.migrate();
    await store.ready();
    await store.nodes.join(nodeId, 60_000);
  }
  return {
    store,
    dataSource,
    nodeId,
    register: async (...names) =>
      (
        await store.subscriptions.register(
          nodeId,
          names.map((name) => declaration(name)),
        )
      ).map(({ id }) => id),
    query: (sql, values) => dataSource.query(sql, values),
    close: async () => {
      await store.close();
      await dataSource.destroy();
    },
  };
}

/** A subscription as a node declares it. */
export function declaration(name: string, also: Partial<SubscriptionDeclaration> = {}): SubscriptionDeclaration {
  return { name, types: [TYPE], formerly: [], ordering: 'none', isHandler: true, ...also };
}
