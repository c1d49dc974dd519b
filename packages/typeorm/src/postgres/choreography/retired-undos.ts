import { hfError } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import type { SqlRunner } from '../sql/sql.js';

/** A stored delivery that is to undo a part of a saga, for a subscription that is retired. */
interface RetiredUndo {
  readonly id: string;
  readonly sagaId: string;
  readonly subscription: string;
}

/** Makes them dead letters: what is due of a retired subscription is taken by nobody and listed nowhere, and the parts before it would wait for it for ever. */
export async function buryUndos(sql: SqlRunner, { tables }: PostgresContext, undos: readonly RetiredUndo[]): Promise<void> {
  for (const { id, sagaId, subscription } of undos) {
    const { code, message, name } = hfError('HF_SAGA_UNDO_RETIRED', { id: sagaId, subscription });
    await sql.run({
      text: `update ${tables.delivery} set state = 'dead', failed_at = clock_timestamp(), error_code = $2, error_type = $3, error_message = $4, error_stack = null, fingerprint = null
             where id = $1`,
      values: [id, code, name, message],
    });
  }
}

/** The same for all that a subscription, which `sql` retires, was to undo. */
export async function buryUndosOf(
  sql: SqlRunner,
  context: PostgresContext,
  { id, name }: { readonly id: number; readonly name: string },
): Promise<void> {
  const { choreography, delivery } = context.tables;
  const { rows } = await sql.run<{ id: string; sagaId: string }>({
    text: `select d.id, c.id as "sagaId" from ${delivery} d join ${choreography} c on c.service = $1 and c.id = d.key and c.undoing = d.id
           where d.subscription_id = $2 and d.state in ('retry', 'waiting')`,
    values: [context.service, id],
  });
  await buryUndos(
    sql,
    context,
    rows.map((row) => ({ ...row, subscription: name })),
  );
}
