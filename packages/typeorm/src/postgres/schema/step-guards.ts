import type { SqlRunner } from '../sql/sql.js';
import type { Tables } from './tables.js';

/** The one table that steps of sagas want in a DataSource other than the store's. It is no part of the versions of the others: those are not there. */
export async function makeStepGuards(sql: SqlRunner, { stepGuard, schema }: Tables): Promise<void> {
  const statements = [
    ...(schema === undefined ? [] : [`create schema if not exists ${schema}`]),
    `create table if not exists ${stepGuard} (
      service text not null,
      saga_id text not null,
      saga_number bigint not null,
      step text not null,
      operation text not null check (operation in ('run', 'undo')),
      mark text not null check (mark in ('done', 'barred')),
      result text,
      at timestamptz not null default clock_timestamp(),
      primary key (service, saga_id, saga_number, step, operation)
    )`,
    `create index if not exists holdfast_step_guard_at on ${stepGuard} using brin (at) with (pages_per_range = 32)`,
  ];
  for (const text of statements) await sql.run({ text });
}

/** Whether the table is there. */
export async function hasStepGuards(sql: SqlRunner, { stepGuard }: Tables): Promise<boolean> {
  const { rows } = await sql.run<{ found: string | null }>({
    text: 'select to_regclass($1)::text as found from pg_catalog.pg_class limit 1',
    values: [stepGuard],
  });
  return Boolean(rows[0]?.found);
}
