import type { Isolation } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { noted, notedTransaction, type Work } from './outside-writes.js';
import type { TypeormTransaction } from './owned-transaction.js';
import { type Found, inScope, participantsOf, runnerInScope } from './participants.js';

type Method = (...args: unknown[]) => unknown;

interface Manager {
  readonly queryRunner?: unknown;
  readonly dataSource?: DataSource;
  /** TypeORM 0.3. */
  readonly connection?: DataSource;
}

/** What makes a query runner of its own where the manager has none. */
const WRITES = ['save', 'remove', 'softRemove', 'recover', 'clear'] as const;

const PATCHED = Symbol.for('holdfast.typeorm.patched');

/**
 * A manager without a query runner, such as `dataSource.createEntityManager()` makes for a repository of one's own, makes one for each of these: the methods of its
 * prototype have to know of units. Done once per process and copy of TypeORM; where there is no unit they do what they did.
 */
export function patchManagers(dataSource: DataSource): void {
  for (let each = Object.getPrototypeOf(dataSource.manager) as object | null; each; each = Object.getPrototypeOf(each)) {
    for (const name of WRITES) patch(each, name, write);
    patch(each, 'transaction', transaction);
  }
}

function patch(prototype: object, name: string, run: (dataSource: DataSource, original: Method, args: unknown[]) => unknown): void {
  const original: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.value;
  if (typeof original !== 'function' || PATCHED in original) return;
  const patched = function (this: Manager, ...args: unknown[]): unknown {
    const dataSource = withoutRunner(this);
    if (dataSource === undefined) return original.apply(this, args);
    try {
      const manager = name === 'transaction' ? this : (runnerInScope(dataSource)?.manager ?? this);
      return run(dataSource, (...changed) => original.apply(manager, changed), args);
    } catch (error) {
      // A unit that has ended: whoever writes is told as by the server.
      return Promise.reject(error);
    }
  };
  Object.defineProperty(prototype, name, { configurable: true, writable: true, value: Object.assign(patched, { [PATCHED]: true }) });
}

/** The DataSource of a manager that has no runner of its own, as far as somebody takes part in it; that of a DataSource has the runner of the unit in scope. */
function withoutRunner(manager: Manager): DataSource | undefined {
  const dataSource = manager.dataSource ?? manager.connection;
  if (dataSource === undefined || !participantsOf(dataSource)) return undefined;
  return manager === dataSource.manager || manager.queryRunner === undefined ? dataSource : undefined;
}

function write(dataSource: DataSource, original: Method, args: unknown[]): unknown {
  return inScope(dataSource) ? original(...args) : noted(dataSource, () => original(...args));
}

/** A nested part of the unit in scope, or TypeORM's own outside any. */
function transaction(dataSource: DataSource, original: Method, args: unknown[]): unknown {
  const found = inScope(dataSource);
  if (found) return nested(found, args as [Isolation, Work] | [Work]);
  return notedTransaction(dataSource, (watch) =>
    original(...args.map((each) => (typeof each === 'function' ? watch(each as Work) : each))),
  );
}

async function nested({ scope, scopes }: Found, [first, second]: [Isolation, Work] | [Work]): Promise<unknown> {
  const work = typeof first === 'function' ? first : (second as Work);
  const options = typeof first === 'string' ? { isolation: first } : {};
  return scope.nested(scopes, options, () => work((scope.transaction as TypeormTransaction).manager));
}
