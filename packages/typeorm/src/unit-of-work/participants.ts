import type { Scope, ScopeStorage } from '@holdfast/core';
import type { TypeormTransaction } from './owned-transaction.js';
import type { UnitRunner } from './unit-runner.js';

/** One application that takes part in a data source. */
export interface Participant {
  readonly scopes: ScopeStorage;
  /** Name of the data source in `scopes`. */
  readonly name: string;
  /** Whether its messages are kept in this data source, so that a write may belong to one. */
  readonly hasOutbox: boolean;
}

/** The applications that take part in a data source, and how to leave it as it was. */
export interface Participants {
  readonly list: Participant[];
  readonly restore: () => void;
}

/** A unit of work found in scope. */
export interface Found {
  readonly scope: Scope;
  readonly scopes: ScopeStorage;
}

// Kept on the data source under a global symbol, so that two copies of this package find each other.
const PARTICIPANTS = Symbol.for('holdfast.typeorm.participants');

/** A data source, as we mark it. */
export interface Intercepted {
  [PARTICIPANTS]?: Participants;
}

/** Who takes part in a data source; undefined when nobody does. */
export function participantsOf(dataSource: object): Participants | undefined {
  return (dataSource as Intercepted)[PARTICIPANTS];
}

/** Marks a data source as intercepted; undefined removes the mark. */
export function setParticipants(dataSource: object, participants: Participants | undefined): void {
  if (participants) Object.defineProperty(dataSource, PARTICIPANTS, { configurable: true, value: participants });
  else Reflect.deleteProperty(dataSource, PARTICIPANTS);
}

/** The unit of work in scope; where one application calls another, the one entered last. */
export function inScope(dataSource: object): Found | undefined {
  let order = 0;
  let found: Found | undefined;
  for (const { scopes, name } of participantsOf(dataSource)?.list ?? []) {
    const entry = scopes.entry(name);
    if (!entry?.scope || entry.order < order) continue;
    order = entry.order;
    found = { scope: entry.scope, scopes };
  }
  return found;
}

/** The query runner of the unit in scope; undefined outside any. @throws HF_UOW_ENDED */
export function runnerInScope(dataSource: object): UnitRunner | undefined {
  const found = inScope(dataSource);
  if (!found) return undefined;
  found.scope.assertLive();
  return (found.scope.transaction as TypeormTransaction).queryRunner;
}
