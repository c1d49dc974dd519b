import type { LeaseRequest, LeaseRound, LeaseStore, PartLease } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { prepared } from './sql/sql.js';

/** A lease is renewed when less than this share of it is left, so that rounds may be frequent and writes are not. */
const RENEWED_BELOW = 0.7;

interface RoundRow {
  readonly share: number;
  readonly part: number | null;
  readonly owner_token: string;
  readonly left_ms: number;
}

/** Leases of parts in two tables: one row per part, and one per process that wants some. All times are the database's. */
export class PostgresLeaseStore implements LeaseStore {
  private readonly roundStatement;
  private readonly releaseStatement;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    const end = `now() + $5 * interval '1 millisecond'`;
    const soon = `now() + $5 * ${RENEWED_BELOW} * interval '1 millisecond'`;
    // The time of the statement's begin for all of it: a wait for a row lock makes a lease shorter, never longer. Its own row before those of others, so that
    // two who were away for long do not wait for each other. What lasts longer than any lease was written before the clock was set back: it lasts a lease's
    // time from now on, so that its owner keeps it, and one who is dead does not.
    this.roundStatement = prepared(
      `with me as (
         insert into ${t.leaseMember} as m (scope, node_id, seen_until) select $1, $2, ${end} where $6
         on conflict (scope, node_id) do update set seen_until = excluded.seen_until where m.seen_until < ${soon} or m.seen_until > ${end}
         returning node_id),
       gone as (
         delete from ${t.leaseMember} where (scope, node_id) in (
           select scope, node_id from ${t.leaseMember}
           where scope = $1 and (node_id <> $2 and seen_until < now() - interval '1 minute' or node_id = $2 and not $6)
             and (select count(*) from me) >= 0 for update skip locked)),
       outlived as (
         update ${t.leaseMember} set seen_until = ${end} where (scope, node_id) in (
           select scope, node_id from ${t.leaseMember} where scope = $1 and node_id <> $2 and seen_until > ${end} and (select count(*) from me) >= 0
           for update skip locked)),
       share as (
         select case when $6 or m.others = 0 then p.n / (m.others + 1) + case when m.rank < p.n % (m.others + 1) then 1 else 0 end else 0 end::int as share
         from (select count(*) as n from ${t.lease} where scope = $1) p,
           (select count(*) as others, count(*) filter (where node_id < $2) as rank
            from ${t.leaseMember} where scope = $1 and node_id <> $2 and seen_until >= now()) m),
       kept as (
         select part, owner_token, lease_until from ${t.lease} where scope = $1 and owner_token = any($3::uuid[]) and lease_until between ${soon} and ${end}),
       renewed as (
         update ${t.lease} set lease_until = ${end} where scope = $1 and owner_token = any($3::uuid[]) and (lease_until < ${soon} or lease_until > ${end})
         returning part, owner_token, lease_until),
       shortened as (
         update ${t.lease} set lease_until = ${end} where (scope, part) in (
           select scope, part from ${t.lease} where scope = $1 and lease_until > ${end} and owner_token <> all($3::uuid[]) for update skip locked)),
       free as (
         select part from ${t.lease} where scope = $1 and (owner_token is null or (lease_until < now() and owner_token <> all($3::uuid[])))
         order by part
         limit greatest(0, (select share from share) - (select count(*) from ${t.lease} where scope = $1 and owner_token = any($3::uuid[])))
         for update skip locked),
       taken as (
         update ${t.lease} l set owner_token = $4, node_id = $2, lease_until = ${end} from free where l.scope = $1 and l.part = free.part
         returning l.part, l.owner_token, l.lease_until)
       select s.share, h.part, h.owner_token, (extract(epoch from h.lease_until - now()) * 1000)::float8 as left_ms
       from share s left join (select * from kept union all select * from renewed union all select * from taken) h on true
       order by h.part`,
    );
    this.releaseStatement = prepared(
      `update ${t.lease} l set owner_token = null, node_id = null, lease_until = null
       from unnest($2::int[], $3::uuid[]) r(part, owner_token) where l.scope = $1 and l.part = r.part and l.owner_token = r.owner_token`,
    );
  }

  declare(scope: string, parts: number): Promise<number> {
    const { lease } = this.context.tables;
    return this.context.pool.transaction(async (sql) => {
      // One after the other: two processes that want different numbers must not make them both.
      await sql.run({ text: 'select pg_advisory_xact_lock(hashtextextended($1, 0))', values: [`${lease} ${scope}`] });
      await sql.run({
        text: `insert into ${lease} (scope, part) select $1, p from generate_series(0, $2::int - 1) p where not exists (select from ${lease} where scope = $1)`,
        values: [scope, parts],
      });
      const { rows } = await sql.run<{ parts: number }>({
        text: `select count(*)::int as parts from ${lease} where scope = $1`,
        values: [scope],
      });
      return rows[0]?.parts as number;
    });
  }

  async round(scope: string, { nodeId, ownerTokens, newToken, ttlMs, isAble }: LeaseRequest): Promise<LeaseRound> {
    const { rows } = await this.context.pool.run<RoundRow>(this.roundStatement(scope, nodeId, ownerTokens, newToken, ttlMs, isAble));
    const held = rows.flatMap(({ part, owner_token, left_ms }) =>
      part === null ? [] : [{ part, ownerToken: owner_token, leftMs: left_ms }],
    );
    return { held, share: rows[0]?.share ?? 0 };
  }

  async release(scope: string, leases: readonly Pick<PartLease, 'part' | 'ownerToken'>[]): Promise<void> {
    await this.context.pool.run(
      this.releaseStatement(
        scope,
        leases.map(({ part }) => part),
        leases.map(({ ownerToken }) => ownerToken),
      ),
    );
  }

  async leave(scope: string, { nodeId, ownerTokens }: Pick<LeaseRequest, 'nodeId' | 'ownerTokens'>): Promise<void> {
    const t = this.context.tables;
    await this.context.pool.run({
      text: `with me as (delete from ${t.leaseMember} where scope = $1 and node_id = $2)
             update ${t.lease} set owner_token = null, node_id = null, lease_until = null where scope = $1 and (node_id = $2 or owner_token = any($3::uuid[]))`,
      values: [scope, nodeId, ownerTokens],
    });
  }
}
