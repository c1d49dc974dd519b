import { AsyncResource } from 'node:async_hooks';
import type { DataSource } from 'typeorm';
import { type PgClient, watch } from './pg-client.js';

/** A connection out of the pool. */
export interface Connection {
  readonly client: PgClient;
  /** Gives it back; with an error it is destroyed instead. */
  release(error?: Error): void;
}

interface ClientOptions {
  readonly connectionTimeoutMillis?: number;
}

interface Pool {
  /** The class of its clients, and what it makes them with. */
  Client: new (
    options: ClientOptions,
  ) => PgClient & { connect(): Promise<void>; end(): Promise<void>; unref?(): void };
  readonly options: ClientOptions;
  on(event: 'connect', listener: (client: PgClient) => void): unknown;
  removeListener(event: 'connect', listener: (client: PgClient) => void): unknown;
}

interface PoolDriver {
  obtainMasterConnection(): Promise<[PgClient, (error?: Error) => void]>;
  /** The pool of the primary, and those of its copies. */
  readonly master?: Pool;
  readonly slaves?: readonly Pool[];
}

/** Longest wait until a connection is open, where the options name none: pg's own default is for ever. */
const OPEN_MS = 10_000;

// Made when the process starts, in no unit: whatever is opened in it does not keep the context of whoever happened to ask first.
const nowhere = new AsyncResource('HoldfastConnections');

/** Runs `work` in no asynchronous context: in none of our units, and in nobody else's. */
export function outsideAnyContext<T>(work: () => T): T {
  return nowhere.runInAsyncScope(work);
}

/**
 * Listens for the errors of new connections from their first moment: one that the server ends in the same breath as it takes it (a fail-over, an
 * administrator) has nobody else to tell, and that would end the process. One that never comes to be is given up, and its place in the pool is free.
 *
 * @returns stops it for connections to come
 */
export function watchPools(dataSource: DataSource): () => void {
  const { master, slaves = [] } = poolsOf(dataSource);
  const pools = master === undefined ? slaves : [master, ...slaves];
  for (const pool of pools) pool.on('connect', watch);
  const bounds = pools.map(boundOpening);
  return () => {
    for (const pool of pools) pool.removeListener('connect', watch);
    for (const unbound of bounds) unbound();
  };
}

/**
 * A server that takes a connection and vanishes would keep whoever waits for it, and a place in the pool, for ever. The same option on the pool would
 * also shorten the wait for a place, which is an ordinary one while handlers have them all.
 */
function boundOpening(pool: Pool): () => void {
  const { Client, options } = pool;
  if (Client === undefined || options.connectionTimeoutMillis !== undefined) return () => undefined;
  const bounded = new Proxy(Client, { construct: (Made, [given]) => new Made(withTimeOut(given)) });
  pool.Client = bounded;
  return () => {
    if (pool.Client === bounded) pool.Client = Client;
  };
}

/** Property by property: pg hides the password from those that can be listed. */
function withTimeOut(options: ClientOptions): ClientOptions {
  const bound = { value: OPEN_MS, enumerable: true };
  return Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(options), connectionTimeoutMillis: bound });
}

/** Takes a connection to the primary out of the data source's own pool. The pool may open a new one for this, in no asynchronous context. */
export async function connectRaw(dataSource: DataSource): Promise<Connection> {
  const [client, giveBack] = await outsideAnyContext(() => poolsOf(dataSource).obtainMasterConnection());
  watch(client);
  // Giving back may open a connection for whoever waits, so it happens outside too.
  return { client, release: (error) => outsideAnyContext(() => giveBack(error)) };
}

/** Opens a connection to the primary as the pool would, which the pool knows nothing of. Released, it is closed; `ended`: it ended by itself. */
export async function connectApart(dataSource: DataSource, ended: () => void): Promise<Connection> {
  const { Client, options } = poolsOf(dataSource).master as Pool;
  return outsideAnyContext(async () => {
    const client = new Client(options);
    watch(client);
    await client.connect();
    client.on('end', ended);
    const release = () => {
      // Its peer may be gone without a word: the process does not wait for that.
      client.unref?.();
      client.end().catch(() => undefined);
    };
    return { client, release };
  });
}

function poolsOf(dataSource: DataSource): PoolDriver {
  // The pool is not part of TypeORM's public Driver.
  return dataSource.driver as unknown as PoolDriver;
}
