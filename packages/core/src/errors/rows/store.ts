import type { ErrorRows } from './row.js';

/** Errors of the database and of what nodes agree on through it. */
export const STORE_ERRORS = {
  HF_SCHEMA_BEHIND: {
    category: 'configuration',
    sentence: 'The holdfast tables have version {found}, this version of Holdfast needs {needed}.',
    fix: 'Run holdfast migrate of the package @holdfast/cli before starting, or set migrate: true.',
  },
  HF_SCHEMA_AHEAD: {
    category: 'configuration',
    sentence: 'The holdfast tables have version {found}, this version of Holdfast only knows {needed}.',
    fix: 'Start a newer version of Holdfast: the tables are never migrated back.',
  },
  HF_SCHEMA_IRREVERSIBLE: {
    category: 'permanent',
    sentence:
      '{migration} cannot be reverted: it would delete messages that are still to be delivered, and the holdfast tables are never migrated back.',
    fix: 'To revert a migration before it, take it from the list and leave the tables: typeorm migration:revert --fake; it can be run again at any time.',
  },
  HF_STORE_SEQUENCE_LOCK: {
    category: 'configuration',
    sentence: 'The self-test of lane numbers failed: {reason}.',
    fix: 'Use a PostgreSQL server whose nextval() shows its lock in pg_locks, reached directly or through a pool in session or transaction mode.',
  },
  HF_STORE_SEQUENCE_BEHIND: {
    category: 'transient',
    sentence: 'The sequence of a lane gave a number that was read before (lane {lanes}), so the transaction was rolled back.',
    fix: 'Try again: the sequence is raised within seconds. If this goes on, give the role UPDATE on the sequences. Find out what set it back, such as a fail-over or a restored backup.',
  },
  HF_STORE_LANES_DIFFER: {
    category: 'configuration',
    sentence: 'The tables were made with {found} lanes, asked for are {wanted}.',
    fix: 'Leave the option out: the number of lanes is fixed by the first migration.',
  },
  HF_STORE_UNANSWERED: {
    category: 'transient',
    sentence: 'The database did not answer a statement within {timeoutMs} ms.',
    fix: 'Nothing to do if it was a fail-over: the connection was given up and the work is tried again. Else look at the network and at what the server waits for.',
  },
  HF_STORE_NOT_PRIMARY: {
    category: 'transient',
    sentence: 'The database {dataSource} is a standby that takes no writes.',
    fix: 'Connect to the primary; during a fail-over this passes by itself.',
  },
  HF_STORE_UNSUPPORTED: {
    category: 'configuration',
    sentence: '{database} cannot be the store: {reason}.',
    fix: 'Use PostgreSQL 14 or newer; nothing else is supported yet.',
  },
  HF_LEASE_LOST: {
    category: 'conflict',
    sentence: 'The lease on {resource} belongs to another node now.',
    fix: 'Nothing to do, unless it happens often: then the process was frozen or its database slow for longer than a lease lives.',
  },
  HF_INVARIANT: {
    category: 'invariant',
    sentence: 'Something that must always be true is not: {fact}.',
    fix: 'This is a bug in Holdfast: please report it with this message and its details.',
  },
} as const satisfies ErrorRows;
