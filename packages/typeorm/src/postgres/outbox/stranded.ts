import { DEFAULT_TRANSPORT, hfError, type OperatorAction, relayScopeOf, type Stranded } from '@holdfast/core';
import { audit } from '../audit.js';
import type { PostgresContext } from '../context.js';
import { SCOPE_OF_LANE } from './relay-scope.js';

/** What waits for transports other than these whose relay runs in no process. */
export async function strandedIn({ pool, tables: t }: PostgresContext, transports: readonly string[]): Promise<readonly Stranded[]> {
  const { rows } = await pool.run<{ transport: string; backlog: string; parked: string }>({
    text: `select l.transport, sum(b.n) as backlog, sum(p.n) as parked
           from ${t.lane} l
           cross join lateral (select (select count(*) from ${t.outbox} o where o.lane = l.lane and (o.id > l.relay_position or o.id <@ l.relay_holes))
             + (select count(*) from ${t.scheduled} d where d.lane = l.lane) as n) b
           cross join lateral (select count(*) as n from ${t.parked} p where p.lane = l.lane) p
           where l.transport <> all($1::text[])
             and not exists (select from ${t.leaseMember} m where m.scope = ${SCOPE_OF_LANE} and m.seen_until >= now())
             and not exists (select from ${t.lease} m where m.scope = ${SCOPE_OF_LANE} and m.lease_until >= now())
           group by l.transport having sum(b.n) + sum(p.n) > 0 order by l.transport`,
    values: [transports],
  });
  return rows.map(({ transport, backlog, parked }) => ({ transport, backlog: Number(backlog), parked: Number(parked) }));
}

/** Passes over all that a transport has not sent, and deletes what is parked, scheduled or registered for it; how many. @throws HF_TRANSPORT_DISCARD */
export function discardIn(context: PostgresContext, transport: string, action: OperatorAction): Promise<number> {
  const { pool, tables: t } = context;
  const refused = (reason: string) => hfError('HF_TRANSPORT_DISCARD', { name: transport, reason });
  return pool.transaction(async (sql) => {
    if (transport === DEFAULT_TRANSPORT) throw refused('it is the default one, which every process has');
    const { rows: lanes } = await sql.run<{ lane: number }>({
      text: `select lane from ${t.lane} where transport = $1 order by lane for update`,
      values: [transport],
    });
    if (lanes.length === 0) throw refused('the log has no lanes for it');
    const scope = relayScopeOf(transport);
    // One whose broker is away asks for no lanes, and keeps those it has while nobody else does.
    const { rows: members } = await sql.run<{ node_id: string }>({
      text: `select node_id from ${t.leaseMember} where scope = $1 and seen_until >= now()
             union select node_id from ${t.lease} where scope = $1 and lease_until >= now() order by node_id`,
      values: [scope],
    });
    if (members.length > 0) throw refused(`its relay runs in ${members.map(({ node_id }) => node_id).join(', ')}`);
    const numbers = lanes.map(({ lane }) => lane);
    // First what may be in hand, on its way into the log: this waits for it, and what looks at the log then sees it there.
    const inLanes = [t.parked, t.scheduled].map((table) => ({
      text: `delete from ${table} where lane = any($1::smallint[])`,
      values: [numbers],
    }));
    const halfMessages = { text: `delete from ${t.halfMessage} where transport = $1`, values: [transport] };
    let count = 0;
    for (const deletion of [...inLanes, halfMessages]) count += (await sql.run(deletion)).rowCount;
    // What is still to commit below the new place is a hole, which is settled like any other.
    const { rows } = await sql.run<{ n: string }>({
      text: `with unsent as (
               select o.lane, count(*) as n, max(o.id) as last, range_agg(int8range(o.id, o.id, '[]')) as ids
               from ${t.lane} l join ${t.outbox} o on o.lane = l.lane and (o.id > l.relay_position or o.id <@ l.relay_holes)
               where l.lane = any($1::smallint[]) group by o.lane),
             passed as (
               update ${t.lane} l set relay_position = greatest(l.relay_position, u.last),
                 relay_holes = l.relay_holes + int8multirange(int8range(l.relay_position, greatest(l.relay_position, u.last), '(]')) - u.ids - l.dead
               from unsent u where l.lane = u.lane)
             select coalesce(sum(n), 0) as n from unsent`,
      values: [numbers],
    });
    await audit(sql, context, { ...action, action: 'discard transport', target: transport });
    return count + Number(rows[0]?.n);
  });
}
