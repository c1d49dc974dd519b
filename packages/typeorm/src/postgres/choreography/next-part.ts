import type { PostgresContext } from '../context.js';
import { BOUNDED, inTurn } from './in-turn.js';
import type { SqlRunner } from '../sql/sql.js';

/**
 * Makes the last part of an aborted saga a stored delivery of what undoes it, with the saga's id as its key; what was undone before it, or given up, is
 * gone already. False when there is none left.
 */
export async function nextPart(sql: SqlRunner, { tables, service, clock }: PostgresContext, sagaId: string): Promise<boolean> {
  const { choreography, choreographyPart, delivery } = tables;
  const now = `clock_timestamp() + $3::float8 * interval '1 millisecond'`;
  const [row] = await inTurn<{ undoing: string | null }>(sql, sagaId, {
    text: `with ${BOUNDED},
           last as (
             delete from ${choreographyPart} using b where service = $1 and saga_id = $2
               and number = (select max(number) from ${choreographyPart} where service = $1 and saga_id = $2) returning ${choreographyPart}.*),
           due as (
             insert into ${delivery} (subscription_id, state, source, message_id, type, key, next_attempt_at, attributes, body)
             select subscription_id, 'retry', source, message_id, type, saga_id, ${now}, attributes, body from last returning id),
           u as (update ${choreography} set undoing = (select id from due), updated_at = ${now} from b where service = $1 and id = $2 returning undoing)
           select u.undoing, set_config('lock_timeout', b.old, true) from b left join u on true`,
    values: [service, sagaId, clock.aheadOfDatabaseMs()],
  });
  return (row?.undoing ?? null) !== null;
}

/** Goes on behind stored deliveries that an operator has discarded, in his transaction: each part that was to be undone by one of them is left as it is. */
export async function goOnWithout(
  sql: SqlRunner,
  context: PostgresContext,
  discarded: readonly { readonly id: string; readonly key: string | null }[],
): Promise<void> {
  const ofKeys = discarded.filter(({ key }) => key !== null);
  if (ofKeys.length === 0) return;
  const { rows } = await sql.run<{ id: string }>({
    text: `select c.id from ${context.tables.choreography} c join unnest($2::bigint[], $3::text[]) d(id, key) on c.id = d.key and c.undoing = d.id
           where c.service = $1 order by c.id for update of c`,
    values: [context.service, ofKeys.map(({ id }) => id), ofKeys.map(({ key }) => key)],
  });
  for (const { id } of rows) await nextPart(sql, context, id);
}
