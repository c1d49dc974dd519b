import type { Position } from './client.port.js';

/** Messages of a partition of which one may end its process: all of them were in hand whenever that happened. */
export interface Suspects {
  /** Behind the last of them. */
  readonly until: bigint;
  /** How many processes have ended so. */
  readonly returned: number;
}

/** What is in hand of them. */
interface Hand {
  /** They, or messages of which nothing is known when there are none. */
  readonly suspects: Suspects | undefined;
  /** Behind the last message in hand. */
  readonly until: bigint;
}

/** Beside an offset: what is in hand there, or that a search goes on there; then who has written it. */
const NOTE = /^(?:in hand, returned (\d+) times, until (\d+) of (\d+)|searched, returned (\d+) times, until (\d+)), (.*)\/\d+$/;

/** What whoever had the partition before has left, for who takes it over. What it had in hand may have ended it, unless it is the same process. */
export function suspectsIn(position: Position | undefined, nodeId: string): Suspects | undefined {
  const [, returned, until, untilAll, searched, untilSearched, by] = NOTE.exec(position?.note ?? '') ?? [];
  if (untilSearched !== undefined) return { until: BigInt(untilSearched), returned: Number(searched) };
  if (until === undefined || untilAll === undefined) return undefined;
  if (by !== nodeId) return { until: BigInt(until), returned: Number(returned) + 1 };
  return Number(returned) === 0 ? undefined : { until: BigInt(untilAll), returned: Number(returned) };
}

/** How many of the next messages are handed over: half of the suspects. */
export function handOf(suspects: Suspects | undefined, offsets: readonly bigint[], limit: number): number {
  const count = suspects === undefined ? offsets.length : Math.floor(offsets.filter((offset) => offset < suspects.until).length / 2);
  return Math.max(1, Math.min(limit, count));
}

/** That these are in hand. @param by who says it, and a number of his own */
export function inHandNote({ suspects, until }: Hand, by: string): string {
  return `in hand, returned ${suspects?.returned ?? 0} times, until ${until} of ${suspects?.until ?? until}, ${by}`;
}

/** That nothing is in hand: with what is still suspect, so that the search goes on there. */
export function notInHandNote(suspects: Suspects | undefined, by: string): string {
  return suspects === undefined ? by : `searched, returned ${suspects.returned} times, until ${suspects.until}, ${by}`;
}

/** Whether a note leaves its group where it is. */
export function isInHandNote(note: string | undefined): boolean {
  return note?.startsWith('in hand, ') === true;
}

/** What is left of them when the group stands there: what comes before has ended nobody. */
export function suspectsBehind(suspects: Suspects | undefined, offset: bigint): Suspects | undefined {
  return suspects !== undefined && offset < suspects.until ? suspects : undefined;
}
