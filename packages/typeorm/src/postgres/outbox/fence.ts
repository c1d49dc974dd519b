import { emit, failpoint } from '@holdfast/core';
import { lock } from '../sql/advisory-lock.js';
import type { PostgresContext } from '../context.js';
import { parseMultirange } from '../sql/multirange.js';
import { LIFE } from '../server-life.js';
import { sequenceHolders, stillHolding } from './sequence-holders.js';
import { prepared } from '../sql/sql.js';

/** Verdicts kept per lane, at most; the oldest are forgotten, which only means that a reader far behind asks for them again. */
const MAX_DEAD_RANGES = 1000;

/** Holes of a lane, and the transactions that may still fill them. */
interface Watch {
  /** Text of an int8multirange: the holes, seen missing before the holders were read. */
  readonly holes: string;
  /** Identities (`virtualtransaction`) of those that held the lane's sequence then. */
  holders: ReadonlySet<string>;
  /** The server's life they belong to: another server has other transactions under the same identities, and may give the same ids again. */
  readonly life: string;
}

/** Holes that have no verdict yet, by lane, and the server's life they were seen in. */
interface Candidates {
  readonly holes: ReadonlyMap<number, string>;
  readonly life: string | undefined;
}

/** What was found dead, and in which life: on another server the same ids may be other rows, or rows that are still to come. */
interface Dead {
  readonly dead: string;
  readonly life: string;
}

/**
 * Decides that a hole will never be filled. The owner of a missing id either holds the lane's sequence now (`sequenceHolders`) or has ended; when all that
 * held it after the hole was seen have ended and the id is still missing in a new snapshot, it was rolled back.
 */
export class Fence {
  private readonly watches = new Map<number, Watch>();

  private readonly holesStatement;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    this.holesStatement = prepared(
      `select h.lane, (h.holes - l.dead)::text as holes, ${LIFE} as life from (
         select lane, holes from ${t.cursor} where holes <> '{}' union all select lane, relay_holes from ${t.lane} where relay_holes <> '{}') h
       join ${t.lane} l on l.lane = h.lane`,
    );
  }

  /** One look at every lane; how many ids were written off. */
  async run(): Promise<number> {
    const candidates = await this.candidates();
    for (const lane of this.watches.keys()) if (!candidates.holes.has(lane)) this.watches.delete(lane);
    if (candidates.holes.size === 0) return 0;
    const { holders, life } = await sequenceHolders(this.context);
    // The server was switched in between: these do not hold what was missing on the other one.
    if (candidates.life !== life) return 0;
    let written = 0;
    for (const [lane, holes] of candidates.holes) {
      const holding = holders.get(lane) ?? new Set<string>();
      const watch = this.watched(lane, { holes, holders: holding, life });
      watch.holders = stillHolding(watch.holders, holding);
      if (watch.holders.size > 0) continue;
      written += await this.writeOff(lane, watch);
      this.watches.delete(lane);
    }
    return written;
  }

  private watched(lane: number, seen: Watch): Watch {
    const known = this.watches.get(lane);
    if (known !== undefined && known.life === seen.life) return known;
    this.watches.set(lane, seen);
    return seen;
  }

  /** Holes of any reader that have no verdict yet, by lane. */
  private async candidates(): Promise<Candidates> {
    const { rows } = await this.context.pool.run<{ lane: number; holes: string; life: string }>(this.holesStatement());
    const lanes = new Map<number, string[]>();
    for (const { lane, holes } of rows) {
      const known = lanes.get(lane) ?? [];
      lanes.set(lane, holes === '{}' ? known : [...known, holes.slice(1, -1)]);
    }
    await this.clean([...lanes].filter(([, holes]) => holes.length === 0).map(([lane]) => lane));
    // PostgreSQL reads ranges that overlap, and joins them.
    const holes = new Map([...lanes].filter(([, of]) => of.length > 0).map(([lane, of]) => [lane, `{${of.join(',')}}`]));
    return { holes, life: rows[0]?.life };
  }

  /** Writes the verdict, once per lane, and takes the dead ids out of the cursors that are free just now. */
  private async writeOff(lane: number, watch: Watch): Promise<number> {
    const verdict = await this.verdict(lane, watch);
    if (verdict === undefined) return 0;
    await this.takeOut(lane, { dead: verdict.dead, life: watch.life });
    for (const { from, to } of parseMultirange(verdict.dead)) emit('lane:hole-dead', { lane, from, to });
    return verdict.count;
  }

  private verdict(lane: number, { holes, life }: Watch): Promise<{ readonly dead: string; readonly count: number } | undefined> {
    const t = this.context.tables;
    return this.context.pool.transaction(async (sql) => {
      if (!(await lock(sql, `${t.lane}/${lane}`))) return undefined;
      failpoint('fence:before-verdict');
      const { rows } = await sql.run<{ dead: string; n: string }>({
        text: `select (h.holes - coalesce(p.present, '{}'))::text as dead,
                 (select coalesce(sum(upper(r) - lower(r)), 0) from unnest(h.holes - coalesce(p.present, '{}')) r) as n
               from (select $2::int8multirange as holes) h
               cross join lateral (select range_agg(int8range(o.id, o.id, '[]')) as present from unnest(h.holes) r
                 join ${t.outbox} o on o.lane = $1 and o.id >= lower(r) and o.id < upper(r)) p
               where ${LIFE} = $3`,
        values: [lane, holes, life],
      });
      const [found] = rows;
      if (found === undefined || found.dead === '{}') return undefined;
      await sql.run({
        text: `update ${t.lane} set relay_holes = relay_holes - $2::int8multirange, dead = (
                 select coalesce(range_agg(r), '{}') from (select r from unnest(dead + $2::int8multirange) r order by r desc limit ${MAX_DEAD_RANGES}) newest)
               where lane = $1`,
        values: [lane, found.dead],
      });
      failpoint('fence:after-verdict');
      return { dead: found.dead, count: Number(found.n) };
    });
  }

  /** Cursors whose holes all have their verdict already: they were locked when it was given. */
  private async clean(lanes: readonly number[]): Promise<void> {
    if (lanes.length === 0) return;
    await this.context.pool.run({
      text: `update ${this.context.tables.lane} set relay_holes = relay_holes - dead where lane = any($1::smallint[]) and relay_holes && dead`,
      values: [lanes],
    });
    const { rows } = await this.context.pool.run<Dead & { lane: number }>({
      text: `select lane, dead::text as dead, ${LIFE} as life from ${this.context.tables.lane} where lane = any($1::smallint[])`,
      values: [lanes],
    });
    for (const { lane, ...dead } of rows) await this.takeOut(lane, dead);
  }

  /** One statement, committed by itself: a process that freezes here must not hold a cursor, or a whole lane would wait for it. */
  private async takeOut(lane: number, { dead, life }: Dead): Promise<void> {
    const t = this.context.tables;
    await this.context.pool.run({
      text: `update ${t.cursor} c set holes = c.holes - $2::int8multirange
             from (select subscription_id from ${t.cursor} where lane = $1 and holes && $2::int8multirange for update skip locked) free
             where c.subscription_id = free.subscription_id and c.lane = $1 and ${LIFE} = $3`,
      values: [lane, dead, life],
    });
  }
}
