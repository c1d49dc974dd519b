import type { Isolation, Scope, ScopeStorage } from '@holdfast/core';
import type { DataSource, EntityManager } from 'typeorm';
import { patchQueryBuilders } from './builder-patch.js';
import { outsideAnyContext } from './connections.js';
import { refuseForeignPatches } from './foreign-patches.js';
import type { TypeormTransaction } from './owned-transaction.js';
import type { UnitRunner } from './unit-runner.js';

/** One application that takes part in a data source. */
interface Participant {
  readonly scopes: ScopeStorage;
  readonly name: string;
}

// Kept on the data source under a global symbol, so that two copies of this package find each other.
const PARTICIPANTS = Symbol.for('holdfast.typeorm.participants');

interface Intercepted {
  [PARTICIPANTS]?: { readonly list: Participant[]; readonly restore: () => void };
}

/**
 * Makes everything that goes through a data source take part in the unit of work in scope: injected repositories, its manager, ActiveRecord,
 * query builders, `query` and `transaction` (a savepoint inside a unit). Outside a unit nothing changes. `createQueryRunner` is left alone: a
 * runner made by hand is a request for independence.
 *
 * Several applications may take part in one data source; each sees its own units only.
 *
 * @param name name of the data source in `scopes`
 * @returns takes this application out again; the last one restores the data source
 * @throws HF_REPOSITORY_PATCHED when another package does the same
 */
export function installInterception(dataSource: DataSource, scopes: ScopeStorage, name: string): () => void {
  // Our own property on somebody else's object.
  const intercepted = dataSource as unknown as Intercepted;
  if (!intercepted[PARTICIPANTS]) {
    refuseForeignPatches(dataSource);
    intercepted[PARTICIPANTS] = { list: [], restore: intercept(dataSource) };
  }
  const { list, restore } = intercepted[PARTICIPANTS];
  const participant: Participant = { scopes, name };
  list.push(participant);
  return () => {
    const index = list.indexOf(participant);
    if (index < 0) return;
    list.splice(index, 1);
    if (list.length > 0) return;
    restore();
    delete intercepted[PARTICIPANTS];
  };
}

/** The query runner of the unit in scope; undefined outside any. @throws HF_UOW_ENDED */
export function runnerInScope(dataSource: object): UnitRunner | undefined {
  const found = inScope(dataSource);
  if (!found) return undefined;
  found.scope.assertLive();
  return (found.scope.transaction as TypeormTransaction).queryRunner;
}

function inScope(dataSource: object): { readonly scope: Scope; readonly scopes: ScopeStorage } | undefined {
  const participants = (dataSource as Intercepted)[PARTICIPANTS];
  if (!participants) return undefined;
  let order = 0;
  let found: { readonly scope: Scope; readonly scopes: ScopeStorage } | undefined;
  for (const { scopes, name } of participants.list) {
    const entry = scopes.entry(name);
    // Where one application calls another, the unit entered last is meant.
    if (!entry?.scope || entry.order < order) continue;
    order = entry.order;
    found = { scope: entry.scope, scopes };
  }
  return found;
}

type AnyFunction = (...args: unknown[]) => unknown;

/** Puts our functions in front of those of the two instances; returns what takes them away. */
function intercept(dataSource: DataSource): () => void {
  const { manager } = dataSource;
  const driver = dataSource.driver;
  const undo: (() => void)[] = [];
  const put = (target: object, name: string, wrap: (original: AnyFunction) => AnyFunction): void => {
    const original = Reflect.get(target, name) as AnyFunction | undefined;
    if (!original) return;
    undo.push(define(target, name, { value: wrap(original.bind(target)), writable: true }));
  };
  undo.push(define(manager, 'queryRunner', { get: () => runnerInScope(dataSource) }));
  put(dataSource, 'query', (original) => (sql, parameters, runner) => original(sql, parameters, runner ?? runnerInScope(dataSource)));
  // A manager caches the repositories it makes together with its query runner: they are made where there is none.
  for (const name of ['getRepository', 'getTreeRepository']) put(manager, name, (original) => (...args) => outsideAnyContext(() => original(...args)));
  put(manager, 'transaction', (original) => (...args) => transaction(dataSource, original, args));
  // A connection opened within a unit would keep its context for life.
  for (const name of ['obtainMasterConnection', 'obtainSlaveConnection']) put(driver, name, (original) => () => outsideAnyContext(() => original()));
  patchQueryBuilders(dataSource);
  return () => {
    for (const each of undo) each();
  };
}

/** `manager.transaction`: a nested part of the unit in scope, or TypeORM's own outside any. */
function transaction(dataSource: DataSource, original: AnyFunction, args: readonly unknown[]): unknown {
  const found = inScope(dataSource);
  if (!found) return original(...args);
  return nested(found.scope, found.scopes, args as [Isolation, Work] | [Work]);
}

type Work = (manager: EntityManager) => Promise<unknown>;

async function nested(scope: Scope, scopes: ScopeStorage, [first, second]: [Isolation, Work] | [Work]): Promise<unknown> {
  const work = typeof first === 'function' ? first : (second as Work);
  const options = typeof first === 'string' ? { isolation: first } : {};
  return scope.nested(scopes, options, () => work((scope.transaction as TypeormTransaction).manager));
}

function define(target: object, name: string, descriptor: PropertyDescriptor): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { configurable: true, enumerable: false, ...descriptor });
  return () => {
    if (before) Object.defineProperty(target, name, before);
    else Reflect.deleteProperty(target, name);
  };
}
