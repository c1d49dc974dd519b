import { hfError } from '@holdfast/core';

/** Metadata of other packages whose decorators have the names of ours: key → our decorator. @source @nestjs/idempotency and @nestjs/resilience, their `SetMetadata` keys */
const NAMESAKES: Readonly<Record<string, string>> = { 'nestjs:idempotent': 'Idempotent', 'resilience:retry': 'Retry' };

const FOREIGN = /^resilience:(.+)$/;

/**
 * What is wrong with the metadata of other packages on a method of ours: their decorators would run inside the open transaction, where after
 * the first error no statement works any more, and remember calls outside of it.
 *
 * @param keys all metadata keys of the method
 */
export function foreignDecorators(target: string, keys: readonly unknown[]): readonly unknown[] {
  return keys.flatMap((key): readonly unknown[] => {
    if (typeof key !== 'string') return [];
    const decorator = NAMESAKES[key];
    if (decorator) return [hfError('HF_DECORATOR_FOREIGN', { target, decorator, origin: `metadata ${key}` })];
    const other = FOREIGN.exec(key)?.[1];
    return other
      ? [
          `${target} carries the metadata ${key}: that decorator would work inside the open transaction. Leave it out; time-out, retries and concurrency are options of Holdfast`,
        ]
      : [];
  });
}
