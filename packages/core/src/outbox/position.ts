/** Ids from `from` to `to`, both included. */
export interface IdRange {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * How far a lane was read: the highest id, and the ids below it that were missing when it was (its holes).
 *
 * A hole is a transaction that had drawn its id and not yet committed, or one that never will. A reader does not wait for it: the row is
 * delivered when it turns up, and the fence writes it off when it cannot any more.
 */
export interface Position {
  readonly upTo: bigint;
  /** Ascending, disjoint, all at or below `upTo`. */
  readonly holes: readonly IdRange[];
}

/** Past this many separate holes a reader stops at the next gap until some are filled or written off, so that a position stays small. */
export const MAX_HOLES = 1000;

/** A new position, and how many of the ids it covers. */
export interface Step {
  readonly position: Position;
  readonly count: number;
}

/**
 * The position after reading `ids`: all ids of the lane that one snapshot showed among the holes and directly above the position, ascending.
 * Ids skipped on the way become holes unless they are `dead`. Stops early at a gap when there are too many holes already.
 */
export function readOn(position: Position, ids: readonly bigint[], dead: readonly IdRange[]): Step {
  const old = ids.findIndex((id) => id > position.upTo);
  const turnedUp = old === -1 ? ids : ids.slice(0, old);
  let holes = turnedUp.length === 0 ? position.holes : without(position.holes, turnedUp.map(single));
  let upTo = position.upTo;
  let count = turnedUp.length;
  const gaps: IdRange[] = [];
  for (; count < ids.length; count += 1) {
    const id = ids[count] as bigint;
    if (id > upTo + 1n) {
      const missing = without([{ from: upTo + 1n, to: id - 1n }], dead);
      if (missing.length > 0 && holes.length + gaps.length + missing.length > MAX_HOLES) break;
      gaps.push(...missing);
    }
    upTo = id;
  }
  if (gaps.length > 0) holes = [...holes, ...gaps];
  return { position: { upTo, holes }, count };
}

/** The ranges of `set` less those of `taken`; both ascending and disjoint. */
export function without(set: readonly IdRange[], taken: readonly IdRange[]): readonly IdRange[] {
  if (taken.length === 0 || set.length === 0) return set;
  const left: IdRange[] = [];
  let next = 0;
  for (const range of set) {
    let from = range.from;
    while (next < taken.length && (taken[next] as IdRange).to < from) next += 1;
    for (let at = next; at < taken.length; at += 1) {
      const cut = taken[at] as IdRange;
      if (cut.from > range.to) break;
      if (cut.from > from) left.push({ from, to: cut.from - 1n });
      if (cut.to + 1n > from) from = cut.to + 1n;
    }
    if (from <= range.to) left.push({ from, to: range.to });
  }
  return left;
}

function single(id: bigint): IdRange {
  return { from: id, to: id };
}
