import { type IdRange, type Incoming, type Position, readOn, type Taken, without } from '@holdfast/core';
import { parseMultirange } from '../sql/multirange.js';

/** A row of the log as a look at a lane answers it, with the cursor beside it; without an `id` the lane has nothing to read. */
export interface SeenRow {
  readonly position: string;
  readonly holes: string;
  readonly is_suspect: boolean;
  readonly dead: string;
  readonly has_stored: boolean;
  readonly id: string | null;
  readonly is_wanted: boolean;
  readonly type: string;
  readonly written_at: Date;
  readonly age_ms: number;
  readonly attributes: string;
  readonly body: Buffer;
}

/** One row, without what it says of the cursor. */
interface FoundRow {
  readonly id: bigint;
  readonly isWanted: boolean;
  readonly type: string;
  readonly writtenAt: Date;
  readonly ageMs: number;
  /** With the body, only of what is wanted. */
  readonly attributes: string;
  readonly body: Buffer;
}

/** What one snapshot showed of a lane from a cursor on, or what is left of it. */
export interface LaneSight {
  readonly lane: number;
  readonly from: Position;
  /** Ids that will never come. */
  readonly dead: readonly IdRange[];
  /** In id order. */
  readonly found: readonly FoundRow[];
  /** True when the lane may hold more than was looked at. */
  readonly isCut: boolean;
  readonly isSuspect: boolean;
  readonly hasStored: boolean;
  /** When the snapshot was taken: milliseconds of this process's monotonic clock. */
  readonly seenMs: number;
}

/** What of a sight is handed over, and where that leaves the cursor. */
export interface Read extends Taken {
  readonly position: Position;
  /** Holes of the cursor that were filled, and holes that it gets. */
  readonly filled: readonly IdRange[];
  readonly gaps: readonly IdRange[];
  /** Rows passed, wanted or not. */
  readonly count: number;
  /** What is behind them. */
  readonly rest: LaneSight;
}

/**
 * @param rows the answer, in no order
 * @param scan how many rows of each part (what filled holes, what is new) were asked for
 */
export function sightOf(
  rows: readonly SeenRow[],
  { lane, scan, seenMs }: { lane: number; scan: number; seenMs: number },
): LaneSight | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const from: Position = { upTo: BigInt(first.position), holes: parseMultirange(first.holes) };
  const all = first.id === null ? [] : rows.map(foundRow);
  all.sort((a, b) => (a.id < b.id ? -1 : 1));
  // While more holes turned up than were read, nothing above the position may overtake those that are left.
  const turnedUp = all.findIndex(({ id }) => id > from.upTo);
  const found = turnedUp >= scan ? all.slice(0, turnedUp) : all;
  return {
    lane,
    from,
    dead: parseMultirange(first.dead),
    found,
    isCut: rows.length >= scan,
    isSuspect: first.is_suspect,
    hasStored: first.has_stored,
    seenMs,
  };
}

/** Hands over up to `limit` wanted messages of a sight, and passes what nobody here wants on the way. */
export function readFrom(sight: LaneSight, limit: number, nowMs: number): Read {
  const { lane, from, dead, found, isCut, isSuspect, hasStored, seenMs } = sight;
  const ids = found.slice(0, cutAfter(found, limit)).map(({ id }) => id);
  const { position, count } = readOn(from, ids, dead);
  const [filled, gaps] =
    position.holes === from.holes ? [[], []] : [without(from.holes, position.holes), without(position.holes, from.holes)];
  const messages = found
    .slice(0, count)
    .filter(({ isWanted }) => isWanted)
    .map((row) => incoming(lane, row, nowMs - seenMs));
  // What comes behind is taken by a claim, which is refused while the place is suspect.
  const rest = { ...sight, from: position, found: found.slice(count), isSuspect: false };
  return {
    messages,
    hasMore: isCut || count < found.length,
    isMoved: count > 0,
    isSuspect,
    hasStored,
    position,
    filled,
    gaps,
    count,
    rest,
  };
}

/** The same sight with no more than so many rows and bytes. */
export function atMost(sight: LaneSight, { rows, bytes }: { readonly rows: number; readonly bytes: number }): LaneSight {
  let left = bytes;
  const end = sight.found.findIndex((row, index) => {
    left -= sizeOf(row);
    return index === rows || left < 0;
  });
  return end === -1 ? sight : { ...sight, found: sight.found.slice(0, end), isCut: true };
}

/** Whether a sight holds as many wanted messages. */
export function holds({ found }: LaneSight, wanted: number): boolean {
  return found.filter(({ isWanted }) => isWanted).length >= wanted;
}

/** Bytes of a middling row of a sight; 0 when it has none. */
export function meanSize({ found }: LaneSight): number {
  return found.length === 0 ? 0 : found.reduce((sum, row) => sum + sizeOf(row), 0) / found.length;
}

function foundRow(row: SeenRow): FoundRow {
  return {
    id: BigInt(row.id as string),
    isWanted: row.is_wanted,
    type: row.type,
    writtenAt: row.written_at,
    ageMs: row.age_ms,
    attributes: row.attributes,
    body: row.body,
  };
}

function sizeOf({ isWanted, attributes, body }: FoundRow): number {
  return isWanted ? attributes.length + body.length : 0;
}

/** How many of the rows to consume so that at most `limit` are wanted. */
function cutAfter(found: readonly FoundRow[], limit: number): number {
  let wanted = 0;
  for (const [index, { isWanted }] of found.entries()) {
    if (!isWanted) continue;
    if (wanted === limit) return index;
    wanted += 1;
  }
  return found.length;
}

function incoming(lane: number, { id, type, attributes, body, writtenAt, ageMs }: FoundRow, sinceMs: number): Incoming {
  return {
    type,
    attributes,
    body,
    place: `${lane}/${id}`,
    lane,
    writtenAt,
    ageMs: ageMs + sinceMs,
    attempts: 0,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
  };
}
