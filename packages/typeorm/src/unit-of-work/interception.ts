import type { DataSource } from 'typeorm';
import { patchQueryBuilders } from './builder-patch.js';
import { outsideAnyContext } from './connections.js';
import { refuseForeignPatches } from './foreign-patches.js';
import { patchManagers } from './manager-patch.js';
import { isWriting, noted } from './outside-writes.js';
import { type Participant, participantsOf, runnerInScope, setParticipants } from './participants.js';

/**
 * Makes everything that goes through a data source take part in the unit of work in scope: injected repositories, its manager and those it makes, ActiveRecord,
 * query builders, `query` and `transaction` (a savepoint inside a unit). Outside a unit nothing changes, except that a write is remembered in the
 * asynchronous context (`ScopeStorage.seenWrite`). `createQueryRunner` is left alone: a runner made by hand is a request for independence.
 *
 * Several applications may take part in one data source; each sees its own units only.
 *
 * @param participant this application
 * @returns takes this application out again; the last one restores the data source
 * @throws HF_REPOSITORY_PATCHED when another package does the same
 */
export function installInterception(dataSource: DataSource, participant: Participant): () => void {
  if (!participantsOf(dataSource)) {
    refuseForeignPatches(dataSource);
    setParticipants(dataSource, { list: [], restore: intercept(dataSource) });
  }
  participantsOf(dataSource)?.list.push(participant);
  return () => leave(dataSource, participant);
}

function leave(dataSource: DataSource, participant: Participant): void {
  const participants = participantsOf(dataSource);
  const index = participants?.list.indexOf(participant) ?? -1;
  if (!participants || index < 0) return;
  participants.list.splice(index, 1);
  if (participants.list.length > 0) return;
  participants.restore();
  setParticipants(dataSource, undefined);
}

type AnyFunction = (...args: unknown[]) => unknown;

const LOOK_UPS = ['getRepository', 'getTreeRepository'];
const CONNECTS = ['obtainMasterConnection', 'obtainSlaveConnection'];

/** Puts our functions in front of those of the instances; returns what takes them away. */
function intercept(dataSource: DataSource): () => void {
  const { manager, driver } = dataSource;
  const undo: (() => void)[] = [];
  const put = (target: object, names: readonly string[], wrap: (original: AnyFunction) => AnyFunction): void => {
    for (const name of names) {
      const original = Reflect.get(target, name) as AnyFunction | undefined;
      if (original) undo.push(define(target, name, { value: wrap(original.bind(target)), writable: true }));
    }
  };
  undo.push(define(manager, 'queryRunner', { get: () => runnerInScope(dataSource) }));
  put(dataSource, ['query'], (original) => (sql, parameters, runner) => {
    const used = runner ?? runnerInScope(dataSource);
    const run = () => original(sql, parameters, used);
    return !used && isWriting(sql) ? noted(dataSource, run) : run();
  });
  // A manager caches the repositories it makes together with its query runner: they are made where there is none.
  put(
    manager,
    LOOK_UPS,
    (original) =>
      (...args) =>
        outsideAnyContext(() => original(...args)),
  );
  // A connection opened within a unit would keep its context for life.
  put(driver, CONNECTS, (original) => () => outsideAnyContext(() => original()));
  patchQueryBuilders(dataSource);
  patchManagers(dataSource);
  return () => {
    for (const each of undo) each();
  };
}

function define(target: object, name: string, descriptor: PropertyDescriptor): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { configurable: true, enumerable: false, ...descriptor });
  return () => {
    if (before) Object.defineProperty(target, name, before);
    else Reflect.deleteProperty(target, name);
  };
}
