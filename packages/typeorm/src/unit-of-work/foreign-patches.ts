import { hfError } from '@holdfast/core';
import type { DataSource } from 'typeorm';

/**
 * Refuses a TypeORM that another package has taught to find its transaction by itself: a statement would run in that one's and in ours.
 *
 * @throws HF_REPOSITORY_PATCHED
 * @source typeorm-transactional: a getter `manager` on Repository.prototype, and on each data source given to it
 */
export function refuseForeignPatches(dataSource: DataSource): void {
  if (isAccessor(dataSource, 'manager')) throw patched('DataSource.manager');
  const [metadata] = dataSource.entityMetadatas ?? [];
  if (!metadata) return;
  const repository = Object.getPrototypeOf(dataSource.getRepository(metadata.target)) as object;
  if (isAccessor(repository, 'manager')) throw patched('Repository.manager');
}

function isAccessor(target: object, name: string): boolean {
  return Object.getOwnPropertyDescriptor(target, name)?.get !== undefined;
}

function patched(target: string): Error {
  return hfError('HF_REPOSITORY_PATCHED', {
    target,
    origin: 'as typeorm-transactional does; the decorator is `import { Transactional } from "@holdfast/nest"`',
  });
}
