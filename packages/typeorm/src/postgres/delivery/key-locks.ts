import { sessionName } from '../node-store.js';
import { prepared, type Statement } from '../sql/sql.js';

/** An ordering key of a subscription. */
export interface OrderedKey {
  readonly subscriptionId: number;
  readonly key: string;
}

// One text for all keys, so that it can travel with the statement behind it.
const lockStatement = prepared(
  `select set_config('application_name', $3, true), pg_advisory_xact_lock(h)
   from (select distinct hashtextextended(k, $1) as h from json_array_elements_text($2::json) k order by 1) ordered`,
);

/**
 * Locks keys until the transaction ends, in one order for everybody. Whoever puts a delivery behind another one of its key, and whoever frees what
 * waits, holds this lock: else the one would not see what the other has not committed yet, and the delivery would wait for ever.
 */
export function lockingOf(subscriptionId: number, keys: readonly string[], nodeId: string): Statement {
  return lockStatement(subscriptionId, JSON.stringify(keys), sessionName(nodeId));
}
