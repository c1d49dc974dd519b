import { DEFAULT_LANES, hfError, MAX_LANES, type Store, type StoreContext, type StoreFactory } from '@holdfast/core';
import { DataSource } from 'typeorm';
import { PostgresStore } from './postgres/postgres-store.js';
import { Tables } from './postgres/schema/tables.js';

/** Options of `typeorm`. */
export interface TypeormStoreOptions {
  /** Without Nest: the DataSources themselves, by name. */
  dataSource?: DataSource | Readonly<Record<string, DataSource>>;
  /** With Nest: names of the registered DataSources that take part, the first being the default; default ['default']. */
  dataSources?: readonly [string, ...string[]];
  /** Schema of the `holdfast_*` tables; default: the connection's. */
  schema?: string;
  /** Lanes of the log, 1 to 64; counts at the first migration only, later the tables say; default 32. More lanes let more consumers work side by side. */
  lanes?: number;
  /** Whether the framework's statements are prepared by name, and INSERTs of your code that come again in units of work; switch it off behind a pooler that does not keep prepared statements; default true. */
  prepare?: boolean;
}

/**
 * A store on TypeORM: PostgreSQL 14 or newer.
 *
 * Its tables, its transactions and its handlers use the DataSource's own pool: at least 3 connections, else the start is refused. Handlers leave three of
 * them, or a quarter of a larger pool, for callers and house-keeping.
 *
 * @throws HF_CONFIG_INVALID for a schema that is no plain name, or lanes out of range
 */
export function typeorm(options: TypeormStoreOptions = {}): StoreFactory {
  const { dataSource, dataSources = ['default'], schema, lanes = DEFAULT_LANES, prepare = true } = options;
  const given = dataSource === undefined ? undefined : dataSource instanceof DataSource ? { default: dataSource } : dataSource;
  return {
    store: 'typeorm',
    tokens: given === undefined ? Object.fromEntries(dataSources.map((name) => [name, tokenOf(name)])) : {},
    create: (context) => createStore(context, { given, names: dataSources, schema, lanes, prepare }),
  };
}

interface Given {
  readonly given: Readonly<Record<string, DataSource>> | undefined;
  readonly names: readonly string[];
  readonly schema: string | undefined;
  readonly lanes: number;
  readonly prepare: boolean;
}

function createStore(context: StoreContext, { given, names, schema, lanes, prepare }: Given): Store {
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > MAX_LANES) {
    throw hfError('HF_CONFIG_INVALID', { problems: [`typeorm({ lanes }) is ${String(lanes)}; use a whole number from 1 to ${MAX_LANES}`] });
  }
  const dataSources = given ?? Object.fromEntries(names.map((name) => [name, context.handles[name] as DataSource]));
  for (const [name, source] of Object.entries(dataSources)) {
    if (source === undefined) throw hfError('HF_UOW_DATA_SOURCE', { dataSource: name, known: Object.keys(context.handles) });
    if (source.options.type !== 'postgres') {
      throw hfError('HF_STORE_UNSUPPORTED', {
        database: `the DataSource ${name} (${source.options.type})`,
        reason: 'only PostgreSQL is supported so far',
      });
    }
  }
  return new PostgresStore({ dataSources, tables: new Tables(schema), lanes, isPreparing: prepare }, context);
}

/** What @nestjs/typeorm registers a DataSource under. @source @nestjs/typeorm `getDataSourceToken` */
function tokenOf(name: string): unknown {
  return name === 'default' ? DataSource : `${name}DataSource`;
}
