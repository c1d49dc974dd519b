import type { ErrorRows } from './row.js';

/** Errors of the database and of what nodes agree on through it. */
export const STORE_ERRORS = {
  HF_SCHEMA_BEHIND: {
    category: 'configuration',
    sentence: 'The holdfast tables have version {found}, this version of Holdfast needs {needed}.',
    fix: 'Run holdfast migrate before starting, or set migrate: true.',
  },
  HF_SCHEMA_AHEAD: {
    category: 'configuration',
    sentence: 'The holdfast tables have version {found}, this version of Holdfast only knows {needed}.',
    fix: 'Start a newer version of Holdfast: the tables are never migrated back.',
  },
  HF_STORE_SEQUENCE_LOCK: {
    category: 'configuration',
    sentence: 'The self-test of lane numbers failed: {reason}.',
    fix: 'Use a PostgreSQL server whose nextval() shows its lock in pg_locks, reached directly or through a pool in session or transaction mode.',
  },
  HF_STORE_SEQUENCE_BEHIND: {
    category: 'configuration',
    sentence:
      'The sequence of lane {lane} stands at {last}, behind the position {position} that was already read, and could not be raised.',
    fix: 'Give the role UPDATE on the sequence; new messages of the lane would never be read otherwise.',
  },
  HF_STORE_LANES_DIFFER: {
    category: 'configuration',
    sentence: 'The tables were made with {found} lanes, asked for are {wanted}.',
    fix: 'Leave the option out: the number of lanes is fixed by the first migration.',
  },
  HF_STORE_NOT_PRIMARY: {
    category: 'transient',
    sentence: 'The database {dataSource} is a standby that takes no writes.',
    fix: 'Connect to the primary; during a fail-over this passes by itself.',
  },
  HF_STORE_UNSUPPORTED: {
    category: 'configuration',
    sentence: '{database} cannot be the store: {reason}.',
    fix: 'Use a database and version from the list in the documentation.',
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
