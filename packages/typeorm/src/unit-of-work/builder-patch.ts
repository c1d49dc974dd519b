import type { DataSource } from 'typeorm';
import { runnerInScope } from './interception.js';

interface Builder {
  readonly queryRunner?: unknown;
  readonly dataSource?: DataSource;
  /** TypeORM 0.3. */
  readonly connection?: DataSource;
}

const PATCHED = Symbol.for('holdfast.typeorm.patched');

/**
 * A query builder made before a unit and executed inside it asks for a runner only then: the one method of its prototypes that has to know of
 * units. Done once per process and copy of TypeORM; where there is no unit it does what it did.
 */
export function patchQueryBuilders(dataSource: DataSource): void {
  const builder: object = dataSource.createQueryBuilder();
  for (let each: object | null = Object.getPrototypeOf(builder); each; each = Object.getPrototypeOf(each)) {
    const original: unknown = Object.getOwnPropertyDescriptor(each, 'obtainQueryRunner')?.value;
    if (typeof original !== 'function' || PATCHED in original) continue;
    const patched = function (this: Builder): unknown {
      const source = this.dataSource ?? this.connection;
      return this.queryRunner ?? (source && runnerInScope(source)) ?? original.call(this);
    };
    Object.defineProperty(each, 'obtainQueryRunner', { configurable: true, writable: true, value: Object.assign(patched, { [PATCHED]: true }) });
  }
}
