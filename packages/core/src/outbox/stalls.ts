import type { Clock } from '../time/clock.js';
import type { Fate } from './relay-sender.js';
import type { RelayRow } from './relay.store.port.js';

/** Rest of a lane whose first row did not get through; doubles while it does not. */
const FIRST_REST_MS = 100;
const LONGEST_REST_MS = 1000;
/** A row that was sent alone so often and never confirmed is what is wrong, if others were confirmed in between so often. */
const MOST_TRIES = 12;
const LEAST_MISSES = 3;

interface Stall {
  /** The first row that did not get through; undefined when the lane failed otherwise. */
  readonly id: bigint | undefined;
  /** Tries in a row. */
  times: number;
  /** Those of them before which others were confirmed: while the broker is away, none. */
  misses: number;
  triedMs: number;
  untilMs: number;
}

/**
 * Lanes that stand still, each at a row. Such a lane rests for a while, and then tries that row alone: what follows it would only be sent again and
 * again with it. Only hints: without them nothing is lost.
 */
export class Stalls {
  private readonly lanes = new Map<number, Stall>();
  /** When anything was last confirmed, in whatever lane. */
  private confirmedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly clock: Clock) {}

  /** No lane stands still. */
  get isEmpty(): boolean {
    return this.lanes.size === 0;
  }

  isResting(lane: number): boolean {
    return (this.lanes.get(lane)?.untilMs ?? 0) > this.clock.monotonicMs();
  }

  /** Of these lanes the one that stands still for longest since it was last tried; undefined when none does. */
  longest(lanes: readonly number[]): number | undefined {
    const standing = lanes.filter((lane) => this.lanes.has(lane));
    return standing.sort((a, b) => (this.lanes.get(a) as Stall).untilMs - (this.lanes.get(b) as Stall).untilMs)[0];
  }

  /** They have nothing that could stand still, or are not ours any more. */
  forget(isGone: (lane: number) => boolean): void {
    for (const lane of this.lanes.keys()) if (isGone(lane)) this.lanes.delete(lane);
  }

  /** True while the first row of the lane is to be tried alone. */
  isSuspect(lane: number): boolean {
    return this.lanes.has(lane);
  }

  /** Until the first rest is over; undefined when no lane rests. */
  nextMs(): number | undefined {
    const nowMs = this.clock.monotonicMs();
    const left = [...this.lanes.values()].map(({ untilMs }) => untilMs - nowMs).filter((ms) => ms > 0);
    return left.length === 0 ? undefined : Math.ceil(Math.min(...left));
  }

  /** Lets a lane rest, longer each time in a row. */
  rest(lane: number, id?: bigint): Stall {
    const nowMs = this.clock.monotonicMs();
    const known = this.lanes.get(lane);
    const stall = known !== undefined && known.id === id ? known : { id, times: 0, misses: 0, triedMs: nowMs, untilMs: 0 };
    stall.untilMs = nowMs + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** stall.times);
    stall.times += 1;
    this.lanes.set(lane, stall);
    return stall;
  }

  /** Something was confirmed, in whatever lane, also of what is parked: the broker is there. */
  confirmed(): void {
    this.confirmedMs = this.clock.monotonicMs();
  }

  /** What became of the rows, but that one which is never confirmed alone, while others are, is given up as such. */
  judge(lane: number, rows: readonly RelayRow[], fates: readonly Fate[]): readonly Fate[] {
    if (fates.includes('sent')) this.confirmed();
    const at = fates.findIndex((fate) => fate === 'unknown' || fate === 'unsent');
    if (at === -1) {
      this.lanes.delete(lane);
      return fates;
    }
    const stall = this.rest(lane, rows[at]?.id);
    if (this.confirmedMs >= stall.triedMs) stall.misses += 1;
    stall.triedMs = this.clock.monotonicMs();
    if (rows.length > 1 || stall.times < MOST_TRIES || stall.misses < LEAST_MISSES) return fates;
    this.lanes.delete(lane);
    return [{ reason: 'unconfirmed', error: `it was sent ${stall.times} times and never confirmed, while others were` }];
  }
}
