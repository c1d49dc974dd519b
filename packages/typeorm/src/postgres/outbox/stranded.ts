import { DEFAULT_TRANSPORT, hfError, type OperatorAction, relayScopeOf, type Stranded } from '@holdfast/core';
import { audit } from '../audit.js';
import type { PostgresContext } from '../context.js';
import { SCOPE_OF_LANE } from './relay-scope.js';

/** What waits for transports other than these whose relay runs in no process. */
export async function strandedIn({ pool, tables: t }: PostgresContext, transports: readonly string[]): Promise<readonly Stranded[]> {
  const { rows } = await pool.run<{ transport: string; backlog: string; parked: string }>({
    text: `select l.transport, sum(b.n) as backlog, sum(p.n) as parked
           from ${t.lane} l
           cross join lateral (select count(*) as n from ${t.outbox} o where o.lane = l.lane and (o.id > l.relay_position or o.id <@ l.relay_holes)) b
           cross join lateral (select count(*) as n from ${t.parked} p where p.lane = l.lane) p
           where l.transport <> all($1::text[])
             and not exists (select from ${t.leaseMember} m where m.scope = ${SCOPE_OF_LANE} and m.seen_until >= now())
           group by l.transport having sum(b.n) + sum(p.n) > 0 order by l.transport`,
    values: [transports],
  });
  return rows.map(({ transport, backlog, parked }) => ({ transport, backlog: Number(backlog), parked: Number(parked) }));
}

/** Passes over all that a transport has not sent, and deletes what is parked of it; how many. @throws HF_TRANSPORT_DISCARD */
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
    const { rows: members } = await sql.run<{ node_id: string }>({
      text: `select node_id from ${t.leaseMember} where scope = $1 and seen_until >= now() order by node_id`,
      values: [scope],
    });
    if (members.length > 0) throw refused(`its relay runs in ${members.map(({ node_id }) => node_id).join(', ')}`);
    const numbers = lanes.map(({ lane }) => lane);
    const { rows } = await sql.run<{ n: string }>({
      text: `select count(*) as n from ${t.lane} l join ${t.outbox} o on o.lane = l.lane and (o.id > l.relay_position or o.id <@ l.relay_holes)
             where l.lane = any($1::smallint[])`,
      values: [numbers],
    });
    await sql.run({
      text: `update ${t.lane} l set relay_holes = '{}',
               relay_position = greatest(l.relay_position, (select max(o.id) from ${t.outbox} o where o.lane = l.lane))
             where l.lane = any($1::smallint[])`,
      values: [numbers],
    });
    const { rowCount } = await sql.run({ text: `delete from ${t.parked} where lane = any($1::smallint[])`, values: [numbers] });
    await audit(sql, context, { ...action, action: 'discard transport', target: transport });
    return Number(rows[0]?.n) + rowCount;
  });
}
