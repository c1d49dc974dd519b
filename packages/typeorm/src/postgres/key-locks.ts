import { sessionName } from './node-store.js';
import type { SqlRunner } from './sql.js';

/** An ordering key of a subscription. */
export interface OrderedKey {
  readonly subscriptionId: number;
  readonly key: string;
}

/**
 * Locks keys until the transaction ends, in one order for everybody. Whoever puts a delivery behind another one of its key, and whoever frees what
 * waits, holds this lock: else the one would not see what the other has not committed yet, and the delivery would wait for ever.
 */
export async function lockKeys(sql: SqlRunner, keys: readonly OrderedKey[], nodeId: string): Promise<void> {
  await sql.run({
    text: `select set_config('application_name', $3, true), pg_advisory_xact_lock(h)
           from (select distinct hashtextextended(k.key, k.id) as h from unnest($1::int[], $2::text[]) k(id, key) order by 1) ordered`,
    values: [keys.map(({ subscriptionId }) => subscriptionId), keys.map(({ key }) => key), sessionName(nodeId)],
  });
}
