import { type Logger, ScopeStorage, silentLogger, systemClock, systemRandom, systemScheduler } from '@holdfast/core';
import { createTestDatabase } from '@holdfast-internal/test-support';
// HOLDFAST_TEST_TYPEORM=0.3 turns every import of typeorm into 0.3.26 (jest.config.cjs).
import { DataSource } from 'typeorm';
import { UnitEngine } from '../../../packages/core/src/unit-of-work/unit-engine.js';
import { installInterception } from '../../../packages/typeorm/src/unit-of-work/interception.js';
import type { TypeormTransaction } from '../../../packages/typeorm/src/unit-of-work/owned-transaction.js';
import { TypeormTransactions } from '../../../packages/typeorm/src/unit-of-work/typeorm-transactions.js';
import { ENTITIES, EntrySubscriber, Note } from './entities.js';

/** With TypeORM 0.3 goes the oldest pg (jest.config.cjs): before 8.22 it never answers a query whose parameter cannot be serialised. */
export const isOldPg = process.env.HOLDFAST_TEST_TYPEORM === '0.3';

/** A database with units of work over it; messages are texts in the table `outbox`. */
export interface Units {
  readonly dataSource: DataSource;
  readonly engine: UnitEngine<string>;
  readonly scopes: ScopeStorage<string>;
  readonly transactions: TypeormTransactions;
  uninstall(): void;
  reinstall(): void;
  /** Seen from a connection of its own. */
  look<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Ids of the accounts that are committed, sorted. */
  accounts(): Promise<string[]>;
  messages(): Promise<string[]>;
  publish(message: string): void;
  /** Connections out of the pool and those that wait for one. */
  busy(): { out: number; waiting: number };
  /** Sessions of the data source on the server that are within a transaction. */
  openTransactions(): Promise<number>;
  clean(): Promise<void>;
  close(): Promise<void>;
}

interface Pool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}

export async function openUnits(options: { poolSize?: number; withSubscriber?: boolean; logger?: Logger } = {}): Promise<Units> {
  const database = await createTestDatabase();
  const dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    entities: ENTITIES,
    subscribers: options.withSubscriber === false ? [] : [EntrySubscriber],
    synchronize: true,
    poolSize: options.poolSize ?? 20,
    extra: { connectionTimeoutMillis: 25_000, application_name: 'holdfast units' },
  });
  await dataSource.initialize();
  Note.useDataSource(dataSource);
  const other = await new DataSource({ type: 'postgres', url: database.url, poolSize: 2 }).initialize();
  await other.query('create table outbox (n serial, body text)');
  const mine = unitsOver(dataSource, options.logger);
  const { engine } = mine;
  const pool = (dataSource.driver as unknown as { master: Pool }).master;
  const look = <Row>(sql: string, values?: unknown[]): Promise<Row[]> => other.query(sql, values);
  return {
    ...mine,
    dataSource,
    look,
    accounts: async () => (await look<{ id: string }>('select id from account order by id')).map(({ id }) => id),
    messages: async () => (await look<{ body: string }>('select body from outbox order by n')).map(({ body }) => body),
    publish: (message) => {
      const unit = engine.current();
      if (!unit) throw new Error('no unit');
      unit.outgoing(message);
    },
    busy: () => ({ out: pool.totalCount - pool.idleCount, waiting: pool.waitingCount }),
    openTransactions: async () => {
      const sql = `select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'holdfast units' and state <> 'idle'`;
      return (await look<{ n: number }>(sql))[0]?.n ?? -1;
    },
    clean: async () => {
      await other.query('truncate account, entry, line, audit, note, category, outbox');
      EntrySubscriber.told.length = 0;
    },
    close: async () => {
      mine.uninstall();
      await dataSource.destroy();
      await other.destroy();
      await database.drop();
    },
  };
}

/** Opens units for the tests of a file, of which each leaves nothing open. */
export function eachWithUnits(opened: (units: Units) => void): void {
  let units: Units;
  beforeAll(async () => {
    units = await openUnits();
    opened(units);
  });
  beforeEach(() => units.clean());
  afterEach(async () => {
    expect(units.busy()).toEqual({ out: 0, waiting: 0 });
    expect(await units.openTransactions()).toBe(0);
  });
  afterAll(() => units.close());
}

/** Units of one application over a data source. */
export function unitsOver(dataSource: DataSource, logger: Logger = silentLogger) {
  const scopes = new ScopeStorage<string>();
  const transactions = new TypeormTransactions({ default: dataSource }, scopes as ScopeStorage);
  const engine = new UnitEngine<string>({
    transactions,
    scopes,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    logger,
    writeOutgoing: async (transaction, messages) => {
      await (transaction as TypeormTransaction).run({
        name: 'outbox',
        text: 'insert into outbox (body) select unnest($1::text[])',
        values: [messages],
      });
    },
  });
  const install = () => installInterception(dataSource, { scopes: scopes as ScopeStorage, name: 'default', hasOutbox: true });
  let uninstall = install();
  return {
    engine,
    scopes,
    transactions,
    uninstall: () => uninstall(),
    reinstall: () => {
      uninstall = install();
    },
  };
}

/** A promise to be settled by hand. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
