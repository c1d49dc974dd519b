import { DEFAULT_TRANSPORT, relayScopeOf } from '@holdfast/core';
import type { SqlRunner } from '../sql/sql.js';
import type { Tables } from './tables.js';

/**
 * Makes the lanes of a further transport: as many as the default has, numbered behind those there are. A lane is of one transport for ever, so nothing in it
 * waits for another's broker, and whoever does not know the transport never reads it. Its relay counts as a reader from here on.
 */
export async function addTransport(sql: SqlRunner, { tables: t, name }: { readonly tables: Tables; readonly name: string }): Promise<void> {
  const { rows } = await sql.run<{ first: number; count: number }>({
    text: `select max(lane) + 1 as first, count(*) filter (where transport = $1)::int as count from ${t.lane}`,
    values: [DEFAULT_TRANSPORT],
  });
  const { first, count } = rows[0] as { first: number; count: number };
  const lanes = Array.from({ length: count }, (_, lane) => first + lane);
  for (const lane of lanes) await sql.run({ text: `create sequence ${t.sequence(lane)} cache 1` });
  await sql.run({
    text: `insert into ${t.lane} (lane, transport, relay_position) select unnest($1::smallint[]), $2, 0`,
    values: [lanes, name],
  });
  await sql.run({ text: `insert into ${t.lease} (scope, part) select $1, unnest($2::int[])`, values: [relayScopeOf(name), lanes] });
}
