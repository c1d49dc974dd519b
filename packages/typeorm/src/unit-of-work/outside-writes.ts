import type { ScopeStorage } from '@holdfast/core';
import type { EntityManager, QueryRunner } from 'typeorm';
import { inScope, participantsOf } from './participants.js';

/** Notes of one write, one for each application whose messages it may belong to. */
type Notes = readonly ReturnType<ScopeStorage['noteWrite']>[];

/** What runs within a transaction of TypeORM. */
export type Work = (manager: EntityManager) => Promise<unknown>;

/** A statement that says it writes; a function that does is taken for a read. */
const WRITING_SQL = /^\s*(insert|update|delete|merge|with\b.*\b(insert|update|delete|merge))\b/is;

/** True for the text of a statement that writes. */
export function isWriting(sql: unknown): boolean {
  return WRITING_SQL.test(String(sql));
}

/** Runs a write outside any unit, which its asynchronous context remembers from now on unless it fails. */
export function noted(dataSource: object, write: () => unknown): Promise<unknown> {
  const notes = noteWrite(dataSource);
  begun(notes);
  return followed(notes, write());
}

/** As `noted`, for a query builder that makes a runner of its own: its statements are the write. */
export function notedRunner(dataSource: object, make: () => QueryRunner): QueryRunner {
  const notes = noteWrite(dataSource);
  begun(notes);
  const runner = make();
  if (notes.length > 0) wrapQuery(runner, (query) => followed(notes, query()));
  return runner;
}

/** As `noted`, for a transaction of TypeORM's own: it is a write from the first statement that writes, unless the transaction fails. */
export function notedTransaction(dataSource: object, run: (watch: (work: Work) => Work) => unknown): Promise<unknown> {
  const notes = noteWrite(dataSource);
  const watch = (work: Work) => (manager: EntityManager) => {
    wrapQuery(manager.queryRunner as QueryRunner, (query, sql) => {
      // In a unit that has joined the transaction it is none.
      if (isWriting(sql) && !inScope(dataSource)) begun(notes);
      return query();
    });
    return work(manager);
  };
  return followed(notes, run(watch));
}

/** Called before the first await of the user's call, so that his context has the notes. */
function noteWrite(dataSource: object): Notes {
  const applications = participantsOf(dataSource)?.list ?? [];
  return applications.filter(({ hasOutbox }) => hasOutbox).map(({ scopes }) => scopes.noteWrite());
}

function begun(notes: Notes): void {
  for (const note of notes) note.begun();
}

async function followed(notes: Notes, write: unknown): Promise<unknown> {
  try {
    const result = await write;
    for (const note of notes) note.done();
    return result;
  } catch (error) {
    for (const note of notes) note.failed();
    throw error;
  }
}

function wrapQuery(runner: QueryRunner, wrap: (query: () => unknown, sql: string) => unknown): void {
  const query = runner.query.bind(runner) as (...args: unknown[]) => unknown;
  runner.query = ((...args: [string]) => wrap(() => query(...args), args[0])) as QueryRunner['query'];
}
