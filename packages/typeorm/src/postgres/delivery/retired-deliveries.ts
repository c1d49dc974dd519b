import { hfError } from '@holdfast/core';
import { buryUndosOf } from '../choreography/retired-undos.js';
import type { PostgresContext } from '../context.js';
import type { SqlRunner } from '../sql/sql.js';

/**
 * Makes all that was still to be tried of a subscription, which `sql` retires, dead letters: nobody would take it, and no list would have it. They die in one
 * moment, so that they are listed and redriven in the order in which they were stored.
 */
export async function buryDeliveriesOf(
  sql: SqlRunner,
  context: PostgresContext,
  { id, name }: { readonly id: number; readonly name: string },
): Promise<void> {
  await buryUndosOf(sql, context, { id, name });
  const error = hfError('HF_SUBSCRIPTION_RETIRED', { name });
  await sql.run({
    text: `update ${context.tables.delivery} set state = 'dead', failed_at = (select clock_timestamp()), error_code = $2, error_type = $3, error_message = $4, error_stack = null, fingerprint = null
           where subscription_id = $1 and state in ('retry', 'waiting')`,
    values: [id, error.code, error.name, error.message],
  });
}
