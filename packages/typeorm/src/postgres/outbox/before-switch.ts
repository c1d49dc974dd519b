import type { Tables } from '../schema/tables.js';

/** That a row `o` of the log is not a broker's, as an SQL condition beside the row `l` of its lane: those above the lane's end are sent by the relay. */
export const BEFORE_SWITCH = 'o.id <= coalesce(l.log_end, 9223372036854775807)';

/** Where a cursor `c` stands, as an SQL expression beside the row `l` of its lane; null when a broker carries the lane and the cursor has read all that came before. */
export function placeOf({ outbox }: Tables): string {
  return `case when l.log_end is null or exists (select from ${outbox} o where o.lane = l.lane and o.id > c.position and ${BEFORE_SWITCH}) then c.position end`;
}
