import { setImmediate } from 'node:timers';
import { type Random, seededRandom } from '../../time/random.js';
import { VirtualTime } from '../virtual-time.js';
import { type DatabaseParts, SimulatedDatabase } from './database.spec.js';
import { SimulatedProcess } from './process.spec.js';

const START = new Date('2026-01-01T00:00:00Z');

/** How rough it is, each from 0 to 1. */
export interface Weather {
  readonly slowTrips: number;
  readonly brokenCommits: number;
  readonly drops: number;
  readonly repeats: number;
  readonly longDelays: number;
  readonly troubles: number;
}

/** What everything of one seed shares: the time, chance, and a trace of what happened. */
export class World {
  readonly time = new VirtualTime({ startsAt: START, settle: settleAll, skipsPolls: false });
  readonly random: Random;
  readonly trace: string[] = [];
  readonly weather: Weather;
  /** From then on nothing breaks any more. */
  isCalm = false;

  constructor(readonly seed: number) {
    this.random = seededRandom(seed);
    // Some seeds are rough in one way and mild in another.
    const rough = (most: number) => this.pick([0, most / 4, most]);
    this.weather = {
      slowTrips: rough(0.02),
      brokenCommits: rough(0.04),
      drops: rough(0.25),
      repeats: rough(0.3),
      longDelays: rough(0.15),
      troubles: this.pick([0.1, 0.4, 0.8]),
    };
  }

  get nowMs(): number {
    return this.time.now().getTime();
  }

  /** Never when it is calm. */
  chance(probability: number): boolean {
    const drawn = this.random.next();
    return !this.isCalm && drawn < probability;
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.random.next() * (high - low + 1));
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random.next() * list.length)] as T;
  }

  /** Randomness of its own, for one process. */
  fork(): Random {
    return seededRandom(this.between(0, 2 ** 31));
  }

  say(who: string, text: string): void {
    this.trace.push(`${String(this.time.monotonicMs()).padStart(7)} ${who}: ${text}`);
  }

  process(name: string): SimulatedProcess {
    return new SimulatedProcess(name, this.time, this.between(-3000, 3000));
  }

  database(name: string, committed: DatabaseParts['committed']): SimulatedDatabase {
    return new SimulatedDatabase({
      name,
      committed,
      nowMs: () => this.nowMs,
      tripMs: () => (this.chance(this.weather.slowTrips) ? this.between(50, 2500) : this.between(1, 4)),
      breaksCommit: () => (this.chance(this.weather.brokenCommits) ? this.pick(['before', 'after'] as const) : undefined),
      coin: () => this.random.next() < 0.5,
    });
  }
}

/** One round of the event loop between two timers: nothing here waits for anything but promises. */
function settleAll(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
