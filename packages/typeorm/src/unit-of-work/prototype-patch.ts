import type { DataSource } from 'typeorm';

/** A method of a class of TypeORM's. */
export type Method = (this: unknown, ...args: unknown[]) => unknown;

const PATCHED = Symbol.for('holdfast.typeorm.patched');

/** Puts `wrap` around a method, wherever the classes of `instance` have it: once per process and copy of TypeORM, also where another copy of this package has done so. */
export function patchMethod(instance: object, name: string, wrap: (original: Method) => Method): void {
  for (let each = Object.getPrototypeOf(instance) as object | null; each; each = Object.getPrototypeOf(each)) {
    const original: unknown = Object.getOwnPropertyDescriptor(each, name)?.value;
    if (typeof original !== 'function' || PATCHED in original) continue;
    const value = Object.assign(wrap(original as Method), { [PATCHED]: true });
    Object.defineProperty(each, name, { configurable: true, writable: true, value });
  }
}

/** What belongs to a DataSource. */
export interface OfDataSource {
  readonly dataSource?: DataSource;
  /** TypeORM 0.3. */
  readonly connection?: DataSource;
}

/** The DataSource of a query builder or a manager, on each version. */
export function dataSourceOf({ dataSource, connection }: OfDataSource): DataSource | undefined {
  return dataSource ?? connection;
}
