import { ScopeStorage, silentLogger, systemClock, systemRandom, systemScheduler } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** Makes the tables of a store with so many lanes in a database, by its migration. */
export async function makeTables(url: string, lanes: number): Promise<void> {
  const dataSource = await new DataSource({ type: 'postgres', url, poolSize: 2 }).initialize();
  const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: silentLogger, scopes: new ScopeStorage() };
  try {
    await typeorm({ dataSource, lanes })
      .create({ service: 'nobody', nodeId: 'nobody', handles: {}, ...ports })
      .schema.migrate();
  } finally {
    await dataSource.destroy();
  }
}
