import { AsyncResource } from 'node:async_hooks';
import type { DataSource } from 'typeorm';
import { type PgClient, watch } from './pg-client.js';

/** A connection out of the pool. */
export interface Connection {
  readonly client: PgClient;
  /** Gives it back; with an error it is destroyed instead. */
  release(error?: Error): void;
}

interface PoolDriver {
  obtainMasterConnection(): Promise<[PgClient, (error?: Error) => void]>;
}

// Made when the process starts, in no unit: whatever is opened in it does not keep the context of whoever happened to ask first.
const nowhere = new AsyncResource('HoldfastConnections');

/** Runs `work` in no asynchronous context: in none of our units, and in nobody else's. */
export function outsideAnyContext<T>(work: () => T): T {
  return nowhere.runInAsyncScope(work);
}

/** Takes a connection to the primary out of the data source's own pool. The pool may open a new one for this, in no asynchronous context. */
export async function connectRaw(dataSource: DataSource): Promise<Connection> {
  // The pool is not part of TypeORM's public Driver.
  const driver = dataSource.driver as unknown as PoolDriver;
  const [client, giveBack] = await outsideAnyContext(() => driver.obtainMasterConnection());
  watch(client);
  // Giving back may open a connection for whoever waits, so it happens outside too.
  return { client, release: (error) => outsideAnyContext(() => giveBack(error)) };
}
