import type { CursorKey, IdRange, Position } from '@holdfast/core';
import { BEFORE_SWITCH } from './before-switch.js';
import { cursorName } from './cursor-name.js';
import type { PostgresContext } from '../context.js';
import { IS_DEFAULT } from './relay-scope.js';
import { LIFE } from '../server-life.js';
import { parseMultirange } from '../sql/multirange.js';
import { prepared } from '../sql/sql.js';

/** Holes looked up one by one in a poll, at most, per cursor; a cursor with more is taken at every poll instead. */
const MAX_NOTED_HOLES = 64;

/** How long a note is believed: a server that crashed may have lost a move that this process saw, and be the same otherwise. */
const BELIEVED_MS = 10_000;

interface Note extends Position {
  readonly seenMs: number;
}

interface TopRow {
  readonly life: string | null;
  readonly lane: number;
  readonly id: string | null;
  readonly is_top: boolean;
}

/**
 * Where the cursors stood when this process last saw them: a hint, so that an idle poll need not read cursor rows, which grow dead versions
 * while somebody holds an old snapshot open. Taking reads the truth.
 *
 * A note may be behind the truth, which costs a take for nothing. It must never be ahead of it, or nobody would look where a message waits: so a
 * place that was moved to in a transaction is not noted, because that transaction may be rolled back. A committed move is lost with the server
 * (a fail-over to an older state, a crash without synchronous commits): another life of the server, a log that is shorter than the note, and some seconds
 * make it void.
 */
export class CursorNotes {
  private readonly places = new Map<number, Map<number, Note>>();
  private life: string | undefined;
  private newsStatements: { readonly tops: ReturnType<typeof prepared>; readonly topsAndHoles: ReturnType<typeof prepared> } | undefined;
  private readonly learnStatement;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    this.learnStatement = prepared(
      `select c.subscription_id, c.lane, c.position, c.holes::text as holes from unnest($1::int[], $2::smallint[]) k(subscription_id, lane)
       join ${t.cursor} c on c.subscription_id = k.subscription_id and c.lane = k.lane`,
    );
  }

  /** A committed place. */
  saw(cursor: CursorKey, position: Position): void {
    this.of(cursor.subscriptionId).set(cursor.lane, { ...position, seenMs: this.context.clock.monotonicMs() });
  }

  /** It moved, or it may not have. */
  forget({ subscriptionId, lane }: CursorKey): void {
    this.of(subscriptionId).delete(lane);
  }

  async news(subscriptionIds: readonly number[]): Promise<readonly CursorKey[]> {
    await this.learn(subscriptionIds.flatMap((id) => this.unknown(id)));
    const holes = subscriptionIds.flatMap((id) =>
      [...this.of(id)].flatMap(([lane, { holes: missing }]) => first(missing).map((hole) => ({ lane, hole }))),
    );
    const lanes = holes.map(({ lane }) => lane);
    const ids = holes.map(({ hole }) => hole);
    this.newsStatements ??= newsStatements(this.context);
    const { tops, topsAndHoles } = this.newsStatements;
    const { rows } = await this.context.pool.run<TopRow>(holes.length === 0 ? tops() : topsAndHoles(lanes, ids));
    if (this.isOtherLife(rows)) return this.news(subscriptionIds);
    return subscriptionIds.flatMap((subscriptionId) => this.newsOf(subscriptionId, rows));
  }

  async refresh(cursors: readonly CursorKey[]): Promise<readonly CursorKey[]> {
    if (cursors.length === 0) return [];
    await this.learn(cursors);
    const still = new Set((await this.news([...new Set(cursors.map(({ subscriptionId }) => subscriptionId))])).map(cursorName));
    return cursors.filter((cursor) => still.has(cursorName(cursor)));
  }

  /** What was seen in the life before is forgotten. */
  private isOtherLife(rows: readonly TopRow[]): boolean {
    const before = this.life;
    this.life = rows.find(({ is_top }) => is_top)?.life ?? before;
    if (before === undefined || this.life === before) return false;
    this.places.clear();
    return true;
  }

  private newsOf(subscriptionId: number, rows: readonly TopRow[]): readonly CursorKey[] {
    const lanes = new Set<number>();
    for (const [lane, { holes }] of this.of(subscriptionId)) if (first(holes).length === MAX_NOTED_HOLES) lanes.add(lane);
    for (const { lane, id, is_top } of rows) {
      const place = this.of(subscriptionId).get(lane);
      if (id === null || place === undefined) continue;
      if (is_top && BigInt(id) < place.upTo) this.forget({ subscriptionId, lane });
      else if (is_top ? BigInt(id) > place.upTo : isIn(place.holes, BigInt(id))) lanes.add(lane);
    }
    return [...lanes].map((lane) => ({ subscriptionId, lane }));
  }

  private async learn(cursors: readonly CursorKey[]): Promise<void> {
    if (cursors.length === 0) return;
    const { rows } = await this.context.pool.run<{ subscription_id: number; lane: number; position: string; holes: string }>(
      this.learnStatement(
        cursors.map(({ subscriptionId }) => subscriptionId),
        cursors.map(({ lane }) => lane),
      ),
    );
    for (const { subscription_id, lane, position, holes } of rows) {
      this.saw({ subscriptionId: subscription_id, lane }, { upTo: BigInt(position), holes: parseMultirange(holes) });
    }
  }

  private unknown(subscriptionId: number): readonly CursorKey[] {
    const known = this.of(subscriptionId);
    const believedFromMs = this.context.clock.monotonicMs() - BELIEVED_MS;
    const lanes = Array.from({ length: this.context.lanes }, (_, lane) => lane);
    return lanes
      .filter((lane) => (known.get(lane)?.seenMs ?? Number.NEGATIVE_INFINITY) < believedFromMs)
      .map((lane) => ({ subscriptionId, lane }));
  }

  private of(subscriptionId: number): Map<number, Note> {
    const lanes = this.places.get(subscriptionId) ?? new Map<number, Note>();
    this.places.set(subscriptionId, lanes);
    return lanes;
  }
}

/** Nothing to look for when there are no holes: else PostgreSQL plans it again at every poll. */
function newsStatements({ tables: { lane, outbox } }: PostgresContext) {
  const tops = `select l.lane, (select o.id from ${outbox} o where o.lane = l.lane and ${BEFORE_SWITCH} order by o.id desc limit 1) as id, true as is_top, ${LIFE} as life
    from ${lane} l where l.${IS_DEFAULT}`;
  const holes = `select h.lane, h.id, false, null from unnest($1::smallint[], $2::bigint[]) h(lane, id) join ${outbox} o on o.lane = h.lane and o.id = h.id`;
  return { tops: prepared(tops), topsAndHoles: prepared(`${tops} union all ${holes}`) };
}

function isIn(ranges: readonly IdRange[], id: bigint): boolean {
  return ranges.some(({ from, to }) => from <= id && id <= to);
}

function first(ranges: readonly IdRange[]): bigint[] {
  const ids: bigint[] = [];
  for (const { from, to } of ranges) {
    for (let id = from; id <= to; id += 1n) {
      if (ids.length === MAX_NOTED_HOLES) return ids;
      ids.push(id);
    }
  }
  return ids;
}
