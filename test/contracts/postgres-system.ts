import { createStoreDatabase } from '@holdfast-internal/test-support';
import type { TransportFactory } from '@holdfast/core';
import type { TransportSystem } from '@holdfast/core/testing/contracts';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** Of the log. */
const LANES = 8;

/** A PostgreSQL database, with a table whose commit can be made to fail. */
export async function onPostgres(transport: () => TransportFactory): Promise<TransportSystem> {
  const testDatabase = await createStoreDatabase(LANES);
  const connect = () => new DataSource({ type: 'postgres', url: testDatabase.url, poolSize: 12 }).initialize();
  const observer = await connect();
  await observer.query('create table written (at serial, text text)');
  await observer.query('create table spoiled (n int primary key, other int references spoiled deferrable initially deferred)');
  return {
    join: async () => {
      const dataSource = await connect();
      return {
        transport,
        store: () => typeorm({ dataSource, lanes: LANES }),
        write: (text) => dataSource.query('insert into written (text) values ($1)', [text]),
        spoil: () => dataSource.query('insert into spoiled values (1, 2)'),
        close: () => (dataSource.isInitialized ? dataSource.destroy() : Promise.resolve()),
      };
    },
    written: async () => ((await observer.query('select text from written order by at')) as { text: string }[]).map(({ text }) => text),
    drop: () => observer.destroy().then(() => testDatabase.drop()),
  };
}
