import type { CursorKey } from '@holdfast/core';
import { cursorName } from './cursor-name.js';
import { holds, type LaneSight, meanSize, type Read, atMost } from './lane-sight.js';

/** Rows looked at in one take, at most: a subscription of rare types passes over many rows at a time. */
const MAX_SCAN = 1000;
/** Rows looked at where fewer are wanted: what is not handed over is kept for the takes that follow. */
const AHEAD = 16;
/** What is kept of a lane, at most. */
const AHEAD_BYTES = 64 * 1024;
/** How long: what a look showed is not to be worked by when much may have happened since. */
const AHEAD_MS = 1000;

interface Look {
  readonly scan: number;
  readonly limit: number;
  readonly sight: LaneSight;
  readonly read: Read;
}

/**
 * What was seen of lanes and not handed over yet, and how much to look at next time.
 *
 * It is kept when the take before it is committed, and whoever uses it has to claim the cursor at the very place it was seen from: a cursor that
 * another process has moved meanwhile is not there any more. What one snapshot showed can be handed over one by one as well as at once.
 */
export class ReadAhead {
  private readonly sights = new Map<string, LaneSight>();
  private readonly scans = new Map<string, number>();

  /** What is known of the lane behind this cursor; once, whatever comes of it. */
  use(cursor: CursorKey, nowMs: number): LaneSight | undefined {
    const sight = this.sights.get(cursorName(cursor));
    this.drop(cursor);
    return sight === undefined || nowMs - sight.seenMs > AHEAD_MS ? undefined : sight;
  }

  drop(cursor: CursorKey): void {
    this.sights.delete(cursorName(cursor));
  }

  /** Keeps what is enough for another take. */
  keep(cursor: CursorKey, rest: LaneSight, limit: number): void {
    const kept = atMost(rest, { rows: AHEAD, bytes: AHEAD_BYTES });
    if (holds(kept, limit)) this.sights.set(cursorName(cursor), kept);
  }

  /** How many rows to look at; one more than is handed over shows whether there is more. */
  scanOf(cursor: CursorKey, limit: number): number {
    return Math.max(limit, this.scans.get(cursorName(cursor)) ?? AHEAD) + 1;
  }

  /** More next time where little was wanted, and less where rows are large. */
  looked(cursor: CursorKey, { scan, limit, sight, read }: Look): void {
    const isPoor = sight.isCut && read.messages.length < limit;
    const ahead = meanSize(sight) * AHEAD > AHEAD_BYTES ? limit : Math.max(limit, AHEAD);
    this.scans.set(cursorName(cursor), isPoor ? Math.min(MAX_SCAN, scan * 4) : scanFor(ahead, read.count));
  }
}

/** So many that the next look sees what this one saw: whoever takes a message again finds it behind as many others. By fours, since each size is a statement. */
function scanFor(limit: number, rows: number): number {
  let scan = limit;
  while (scan < rows) scan *= 4;
  return scan;
}
