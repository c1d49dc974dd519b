import type { DataSource, QueryRunner } from 'typeorm';
import { notedRunner } from './outside-writes.js';
import { participantsOf, runnerInScope } from './participants.js';
import { unreleased } from './unit-runner.js';

interface Builder {
  readonly queryRunner?: unknown;
  readonly dataSource?: DataSource;
  /** TypeORM 0.3. */
  readonly connection?: DataSource;
  readonly expressionMap?: { readonly queryType?: string };
}

const PATCHED = Symbol.for('holdfast.typeorm.patched');

/**
 * A query builder asks for a runner when it is executed, maybe in a unit that began after it was made: the one method of its prototypes that has to
 * know of units. Done once per process and copy of TypeORM; where there is no unit it does what it did.
 */
export function patchQueryBuilders(dataSource: DataSource): void {
  const builder: object = dataSource.createQueryBuilder();
  for (let each: object | null = Object.getPrototypeOf(builder); each; each = Object.getPrototypeOf(each)) {
    const original: unknown = Object.getOwnPropertyDescriptor(each, 'obtainQueryRunner')?.value;
    if (typeof original !== 'function' || PATCHED in original) continue;
    const patched = function (this: Builder): unknown {
      return this.queryRunner ?? runnerOf(this, () => original.call(this) as QueryRunner);
    };
    Object.defineProperty(each, 'obtainQueryRunner', {
      configurable: true,
      writable: true,
      value: Object.assign(patched, { [PATCHED]: true }),
    });
  }
}

function runnerOf({ dataSource, connection = dataSource, expressionMap }: Builder, make: () => QueryRunner): unknown {
  if (!connection || !participantsOf(connection)) return make();
  const runner = runnerInScope(connection);
  if (runner) return unreleased(runner);
  return expressionMap?.queryType === 'select' ? make() : notedRunner(connection, make);
}
