import { hfError } from '@holdfast/core';
import type { DataSource, QueryRunner } from 'typeorm';
import type { PgClient } from './pg-client.js';
import type { PgTransaction } from './pg-transaction.js';

/** TypeORM's query runner, with what it keeps from the public. */
export type UnitRunner = Omit<QueryRunner, 'isReleased' | 'isTransactionActive'> & {
  databaseConnection: unknown;
  isReleased: boolean;
  isTransactionActive: boolean;
  transactionDepth: number;
};

type TransactionEvent = `${'Before' | 'After'}Transaction${'Start' | 'Commit' | 'Rollback'}`;

/** Marks a query runner made by `makeRunner`. */
const OF_UNIT = Symbol('a query runner of a unit');

/** True for a query runner made by `makeRunner`. */
export function isUnitRunner(runner: object): boolean {
  return OF_UNIT in runner;
}

/** A query runner on the connection of an open transaction. It cannot begin, end or release it: that is the unit's business. */
export function makeRunner(source: DataSource, transaction: PgTransaction, client: PgClient): UnitRunner {
  // Protected members of the class; the same on TypeORM 0.3 and 1.
  const runner = source.createQueryRunner('master') as unknown as UnitRunner;
  (runner as { [OF_UNIT]?: true })[OF_UNIT] = true;
  // As after connect() and startTransaction(), so that save() opens no transaction of its own.
  runner.databaseConnection = turnTaking(client, transaction);
  runner.isTransactionActive = true;
  runner.transactionDepth = 1;
  runner.startTransaction = () => refuse('queryRunner.startTransaction()');
  runner.commitTransaction = () => refuse('queryRunner.commitTransaction()');
  runner.rollbackTransaction = () => refuse('queryRunner.rollbackTransaction()');
  runner.release = keep;
  runner.stream = () => Promise.reject(hfError('HF_UOW_STREAM_RETURNED', { method: 'stream()', value: 'a stream' }));
  // What the manager of the data source does in a unit: a savepoint.
  const { manager } = source;
  runner.manager.transaction = (...args: unknown[]) => (manager.transaction as (...all: unknown[]) => Promise<never>)(...args);
  return runner;
}

/** A query runner as query builders get it, which release what they have obtained: the unit still needs it, and one that was joined is the user's to release. */
export function unreleased(runner: UnitRunner): UnitRunner {
  return runner.release === keep ? runner : Object.create(runner, { release: { value: keep } });
}

function keep(): Promise<void> {
  return Promise.resolve();
}

/** The unit has ended: whoever kept the runner is told so, and lazy relations look for another one. */
export function endRunner(runner: UnitRunner): void {
  runner.isReleased = true;
  runner.query = () => Promise.reject(hfError('HF_UOW_ENDED', {}));
}

/** Tells TypeORM's subscribers of a step of the transaction. */
export async function tell(runner: UnitRunner, event: TransactionEvent): Promise<void> {
  await runner.broadcaster.broadcast(event);
}

/**
 * The client as TypeORM sees it: each statement waits for its scope's turn. It is done here and not around `queryRunner.query`, because TypeORM
 * awaits between that call and the client's, and a sibling's savepoint could slip in between.
 */
export function turnTaking(client: PgClient, transaction: PgTransaction): PgClient {
  const query = (...args: Parameters<PgClient['query']>): unknown =>
    typeof args[0] === 'object' && 'submit' in args[0] ? transaction.userSubmit(args[0]) : transaction.userQuery(args);
  return new Proxy(client, {
    get(target, property) {
      if (property === 'query') return query;
      // Asked by every await; a client is no promise.
      if (property === 'then') return undefined;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function refuse(call: string): Promise<never> {
  return Promise.reject(hfError('HF_UOW_CONTROL', { call }));
}
