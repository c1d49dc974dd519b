import type { OperatorAction } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import type { SqlRunner } from './sql/sql.js';

/** Writes down who did what and why, in the transaction that does it. */
export async function audit(
  sql: SqlRunner,
  context: PostgresContext,
  { action, target, by, reason }: OperatorAction & { readonly action: string; readonly target: string },
): Promise<void> {
  await sql.run({
    text: `insert into ${context.tables.audit} (service, actor, action, target, reason) values ($1, $2, $3, $4, $5)`,
    values: [context.service, by, action, target, reason ?? null],
  });
}

/** What was chosen, as it is written down: an id, or a filter with the number of what it found. */
export function targetOf(which: string | object, count: number): string {
  return typeof which === 'string' ? which : `${JSON.stringify(which)} (${count})`;
}
