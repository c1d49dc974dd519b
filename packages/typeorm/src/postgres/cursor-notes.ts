import type { CursorKey, IdRange, Position } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { parseMultirange } from './multirange.js';
import { prepared } from './sql.js';

/** Holes looked up one by one in a poll, at most, per cursor; a cursor with more is taken at every poll instead. */
const MAX_NOTED_HOLES = 64;

/**
 * Where the cursors stood when this process last saw them: a hint, so that an idle poll need not read cursor rows, which grow dead versions
 * while somebody holds an old snapshot open. Taking reads the truth.
 */
export class CursorNotes {
  private readonly places = new Map<number, Map<number, Position>>();
  private readonly newsStatement;

  constructor(private readonly context: PostgresContext) {
    const t = context.tables;
    this.newsStatement = prepared(
      `select l.lane, (select o.id from ${t.outbox} o where o.lane = l.lane order by o.id desc limit 1) as id, true as is_top
       from generate_series(0, $1::int - 1) l(lane)
       union all
       select h.lane, h.id, false from unnest($2::smallint[], $3::bigint[]) h(lane, id) join ${t.outbox} o on o.lane = h.lane and o.id = h.id`,
    );
  }

  saw(cursor: CursorKey, position: Position): void {
    this.of(cursor.subscriptionId).set(cursor.lane, position);
  }

  async news(subscriptionIds: readonly number[]): Promise<readonly CursorKey[]> {
    await this.learn(subscriptionIds.filter((id) => this.of(id).size === 0));
    const holes = subscriptionIds.flatMap((id) => [...this.of(id)].flatMap(([lane, { holes: missing }]) => first(missing).map((hole) => ({ lane, hole }))));
    const { rows } = await this.context.pool.run<{ lane: number; id: string | null; is_top: boolean }>(
      this.newsStatement(this.context.lanes, holes.map(({ lane }) => lane), holes.map(({ hole }) => hole)),
    );
    const news = new Map<string, CursorKey>();
    for (const subscriptionId of subscriptionIds) {
      for (const [lane, { holes: missing }] of this.of(subscriptionId)) {
        if (first(missing).length === MAX_NOTED_HOLES) news.set(`${subscriptionId}/${lane}`, { subscriptionId, lane });
      }
    }
    for (const { lane, id, is_top } of rows) {
      if (id === null) continue;
      for (const subscriptionId of subscriptionIds) {
        const place = this.of(subscriptionId).get(lane);
        const isNew = place !== undefined && (is_top ? BigInt(id) > place.upTo : place.holes.some((hole) => hole.from <= BigInt(id) && BigInt(id) <= hole.to));
        if (isNew) news.set(`${subscriptionId}/${lane}`, { subscriptionId, lane });
      }
    }
    return [...news.values()];
  }

  async refresh(cursors: readonly CursorKey[]): Promise<readonly CursorKey[]> {
    if (cursors.length === 0) return [];
    const ids = [...new Set(cursors.map(({ subscriptionId }) => subscriptionId))];
    await this.learn(ids);
    const still = new Set((await this.news(ids)).map(({ subscriptionId, lane }) => `${subscriptionId}/${lane}`));
    return cursors.filter(({ subscriptionId, lane }) => still.has(`${subscriptionId}/${lane}`));
  }

  private async learn(subscriptionIds: readonly number[]): Promise<void> {
    if (subscriptionIds.length === 0) return;
    const { rows } = await this.context.pool.run<{ subscription_id: number; lane: number; position: string; holes: string }>({
      text: `select subscription_id, lane, position, holes::text as holes from ${this.context.tables.cursor} where subscription_id = any($1::int[])`,
      values: [subscriptionIds],
    });
    for (const { subscription_id, lane, position, holes } of rows) {
      this.saw({ subscriptionId: subscription_id, lane }, { upTo: BigInt(position), holes: parseMultirange(holes) });
    }
  }

  private of(subscriptionId: number): Map<number, Position> {
    let lanes = this.places.get(subscriptionId);
    if (!lanes) this.places.set(subscriptionId, (lanes = new Map()));
    return lanes;
  }
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
