import type { Isolation } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { noted, notedTransaction, type Work } from './outside-writes.js';
import type { TypeormTransaction } from './owned-transaction.js';
import { type Found, inScope, participantsOf, runnerInScope } from './participants.js';
import { dataSourceOf, type OfDataSource, patchMethod } from './prototype-patch.js';

interface Manager extends OfDataSource {
  readonly queryRunner?: unknown;
}

type Original = (...args: unknown[]) => unknown;

/** What makes a query runner of its own where the manager has none. */
const WRITES = ['save', 'remove', 'softRemove', 'recover', 'clear'] as const;

/**
 * A manager without a query runner, such as `dataSource.createEntityManager()` makes for a repository of one's own, makes one for each of these: the methods of its
 * prototype have to know of units. Done once per process and copy of TypeORM; where there is no unit they do what they did.
 */
export function patchManagers(dataSource: DataSource): void {
  for (const name of WRITES) patch(dataSource.manager, name, write);
  patch(dataSource.manager, 'transaction', transaction);
}

function patch(manager: object, name: string, run: (dataSource: DataSource, original: Original, args: unknown[]) => unknown): void {
  patchMethod(
    manager,
    name,
    (original) =>
      function (this: unknown, ...args: unknown[]): unknown {
        const dataSource = withoutRunner(this as Manager);
        if (dataSource === undefined) return original.apply(this, args);
        try {
          const used = name === 'transaction' ? this : (runnerInScope(dataSource)?.manager ?? this);
          return run(dataSource, (...changed) => original.apply(used, changed), args);
        } catch (error) {
          // A unit that has ended: whoever writes is told as by the server.
          return Promise.reject(error);
        }
      },
  );
}

/** The DataSource of a manager that has no runner of its own, as far as somebody takes part in it; that of a DataSource has the runner of the unit in scope. */
function withoutRunner(manager: Manager): DataSource | undefined {
  const dataSource = dataSourceOf(manager);
  if (dataSource === undefined || !participantsOf(dataSource)) return undefined;
  return manager === dataSource.manager || manager.queryRunner === undefined ? dataSource : undefined;
}

function write(dataSource: DataSource, original: Original, args: unknown[]): unknown {
  return inScope(dataSource) ? original(...args) : noted(dataSource, () => original(...args));
}

/** A nested part of the unit in scope, or TypeORM's own outside any. */
function transaction(dataSource: DataSource, original: Original, args: unknown[]): unknown {
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
