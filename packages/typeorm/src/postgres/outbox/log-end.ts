import type { PostgresContext } from '../context.js';
import { IS_DEFAULT } from './relay-scope.js';
import { raiseSequence } from './raise-sequence.js';
import { LIFE } from '../server-life.js';
import { sequenceHolders, stillHolding } from './sequence-holders.js';
import type { Statement } from '../sql/sql.js';

/** Ids that a lane skips when it is moved: more than are drawn between the look at the sequence and the commit of what was seen, whoever sleeps in between. */
const SKIPPED = 1_000_000_000;

interface LaneRow {
  readonly lane: number;
  readonly log_end: string | null;
  readonly is_closed: boolean;
  readonly is_behind: boolean;
  readonly life: string;
}

/** Transactions that may still write a row at or below the end of a lane. */
interface Watch {
  holders: ReadonlySet<string>;
  readonly life: string;
}

/**
 * The end of each lane of a log that was moved to a broker: an id that lies ahead of the sequence, so that it holds for readers at work, who have seen less.
 * Once it is committed the sequence is raised to it. What was drawn before is below it, whenever it commits; so the readers have all of that when the
 * transactions that held the sequence then have ended.
 */
export class LogEnd {
  private readonly watches = new Map<number, Watch>();

  constructor(private readonly context: PostgresContext) {}

  /** Sets the ends, in a transaction that has locked the lanes. The relay begins behind them. */
  setting(): Statement {
    const t = this.context.tables;
    return {
      text: `update ${t.lane} l set log_end = n.log_end, relay_position = n.log_end, relay_holes = '{}' from (
               select l.lane, greatest(coalesce(pg_sequence_last_value(${t.sequenceOf('l.lane')}), 0), l.trimmed_to,
                 (select max(c.position) from ${t.cursor} c where c.lane = l.lane), (select max(o.id) from ${t.outbox} o where o.lane = l.lane)) + ${SKIPPED} as log_end
               from ${t.lane} l where ${IS_DEFAULT}) n
             where n.lane = l.lane`,
    };
  }

  /** Raises the sequences, after the commit. */
  async raise(): Promise<void> {
    for (const { lane, log_end, is_behind } of await this.lanes())
      if (is_behind) await raiseSequence(this.context, lane, log_end as string);
  }

  /** Looks whether more can still come below the ends, and notes in the lanes when not; false before a switch. */
  async close(): Promise<boolean> {
    const lanes = await this.lanes();
    if (lanes.some(({ log_end }) => log_end === null)) return false;
    const open = lanes.filter(({ is_closed }) => !is_closed);
    if (open.length === 0) return true;
    for (const { lane, log_end, is_behind } of open) if (is_behind) await raiseSequence(this.context, lane, log_end as string);
    // Read after the sequences were seen raised: whoever drew a smaller id is among them, or has ended.
    const { holders, life } = await sequenceHolders(this.context);
    // The server was switched in between, and the sequences of this one were not seen.
    if (lanes.some((lane) => lane.life !== life)) return true;
    const closed = open.map(({ lane }) => lane).filter((lane) => this.isDone(lane, { holders: holders.get(lane) ?? new Set(), life }));
    if (closed.length > 0)
      await this.context.pool.run({
        text: `update ${this.context.tables.lane} set is_log_closed = true where lane = any($1::smallint[]) and ${LIFE} = $2`,
        values: [closed, life],
      });
    return true;
  }

  private isDone(lane: number, seen: Watch): boolean {
    const known = this.watches.get(lane);
    const watch = known?.life === seen.life ? known : seen;
    watch.holders = stillHolding(watch.holders, seen.holders);
    this.watches.set(lane, watch);
    return watch.holders.size === 0;
  }

  private async lanes(): Promise<readonly LaneRow[]> {
    const t = this.context.tables;
    const { rows } = await this.context.pool.run<LaneRow>({
      text: `select l.lane, l.log_end, l.is_log_closed as is_closed, coalesce(pg_sequence_last_value(${t.sequenceOf('l.lane')}), 0) < l.log_end is true as is_behind, ${LIFE} as life
             from ${t.lane} l where ${IS_DEFAULT} order by l.lane`,
    });
    return rows;
  }
}
