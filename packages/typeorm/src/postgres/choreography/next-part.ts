import type { PostgresContext } from '../context.js';
import { BOUNDED, inTurn } from './in-turn.js';
import type { SqlRunner } from '../sql/sql.js';
import { buryUndos } from './retired-undos.js';

/**
 * Makes the last part of an aborted saga a stored delivery of what undoes it, with the saga's id as its key; what was undone before it, or given up, is
 * gone already. Where that is retired it is a dead letter at once. False when there is none left.
 */
export async function nextPart(sql: SqlRunner, context: PostgresContext, sagaId: string): Promise<boolean> {
  const { tables, service, clock } = context;
  const { choreography, choreographyPart, delivery, subscription } = tables;
  const now = `clock_timestamp() + $3::float8 * interval '1 millisecond'`;
  // Whoever retires the subscription waits for the end of this, or this for him, and one of the two sees the other.
  const [row] = await inTurn<{ undoing: string | null; retired: string | null }>(sql, sagaId, {
    text: `with ${BOUNDED},
           last as (
             delete from ${choreographyPart} using b where service = $1 and saga_id = $2
               and number = (select max(number) from ${choreographyPart} where service = $1 and saga_id = $2) returning ${choreographyPart}.*),
           s as (select s.name, s.state from last join ${subscription} s on s.id = last.subscription_id for key share of s),
           due as (
             insert into ${delivery} (subscription_id, state, source, message_id, type, key, next_attempt_at, attributes, body)
             select subscription_id, 'retry', source, message_id, type, saga_id, ${now}, attributes, body from last returning id),
           u as (update ${choreography} set undoing = (select id from due), updated_at = ${now} from b where service = $1 and id = $2 returning undoing)
           select u.undoing, (select name from s where state = 'retired') as retired, set_config('lock_timeout', b.old, true) from b left join u on true`,
    values: [service, sagaId, clock.aheadOfDatabaseMs()],
  });
  const { undoing = null, retired = null } = row ?? {};
  if (undoing !== null && retired !== null) await buryUndos(sql, context, [{ id: undoing, sagaId, subscription: retired }]);
  return undoing !== null;
}

/** Goes on behind stored deliveries that an operator has discarded, in his transaction: each part that was to be undone by one of them is left as it is. */
export async function goOnWithout(
  sql: SqlRunner,
  context: PostgresContext,
  discarded: readonly { readonly id: string; readonly key: string | null }[],
): Promise<void> {
  const ofKeys = discarded.filter((each): each is { readonly id: string; readonly key: string } => each.key !== null);
  const keys = ofKeys.map(({ key }) => key);
  if (keys.length === 0) return;
  // All of them are locked before the wait is put back as it was: a list of rows would be taken one by one.
  const [row] = await inTurn<{ ids: string[] | null }>(sql, keys.join(', '), {
    text: `with ${BOUNDED},
           held as materialized (
             select c.id from b cross join ${context.tables.choreography} c join unnest($2::bigint[], $3::text[]) d(id, key) on c.id = d.key and c.undoing = d.id
             where c.service = $1 order by c.id for update of c)
           select h.ids, set_config('lock_timeout', b.old, true) from (select array_agg(id order by id) as ids from held) h cross join b`,
    values: [context.service, ofKeys.map(({ id }) => id), keys],
  });
  for (const id of row?.ids ?? []) await nextPart(sql, context, id);
}
