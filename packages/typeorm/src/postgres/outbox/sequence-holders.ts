import type { PostgresContext } from '../context.js';
import { LIFE } from '../server-life.js';

/** Transactions that hold the sequence of a lane, by lane, and the server's life they belong to: another server has other transactions under the same identities. */
export interface SequenceHolders {
  readonly holders: ReadonlyMap<number, ReadonlySet<string>>;
  readonly life: string;
}

/**
 * Which transactions may have drawn an id of a lane and not yet committed. `nextval` takes a lock on the sequence before it draws an id and keeps it to the
 * end of the top transaction, also after a savepoint's rollback and after PREPARE.
 */
export async function sequenceHolders({ pool, tables: t }: PostgresContext): Promise<SequenceHolders> {
  const { rows } = await pool.run<{ lane: number | null; holder: string | null; life: string }>({
    text: `select s.lane, l.virtualtransaction as holder, ${LIFE} as life
           from (select lane, ${t.sequenceOf('lane')}::oid as oid from ${t.lane}) s
           left join pg_locks l on l.locktype = 'relation' and l.relation = s.oid and l.mode = 'RowExclusiveLock' and l.granted
             and l.database = (select oid from pg_database where datname = current_database())`,
  });
  const holders = new Map<number, Set<string>>();
  for (const { lane, holder } of rows) {
    if (lane === null || holder === null) continue;
    const of = holders.get(lane) ?? new Set();
    holders.set(lane, of.add(holder));
  }
  return { holders, life: rows[0]?.life ?? '' };
}

/** Those of `before` that have not ended by `now`. */
export function stillHolding(before: ReadonlySet<string>, now: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...now].filter((holder) => before.has(holder) || isRecovered(holder)));
}

/**
 * True for a transaction that was prepared before a crash. Its identity is a new one, also when only a session crashed and the postmaster lived on,
 * so it may be any of those that were there before.
 *
 * @source PostgreSQL `pg_locks`, whose virtualtransaction has the backend number -1 for prepared transactions found at recovery
 */
function isRecovered(holder: string): boolean {
  return holder.startsWith('-1/');
}
