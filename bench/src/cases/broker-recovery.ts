import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../runner/bench.js';
import { atMostAbove, type Result } from '../runner/result.js';
import { median } from '../runner/statistics.js';
import { until } from '../runner/wait.js';
import { NestShop, type NestShopOptions } from '../shop/nest-shop.js';
import { Ledger } from '../shop/shop.js';

/** Between two orders, and two messages by hand. */
const PACE_MS = 50;
/** Before the broker is killed: what is declared in the last moments before that is half there afterwards, a quorum queue of RabbitMQ 3.10 without a leader for ever. */
const SETTLED_MS = 3000;
/** The broker is away for so long: at least as long as it takes both sides to notice. */
const AWAY_MS = 3000;
const TIMEOUT_MS = 120_000;

/** A broker of one's own. */
interface Breakable {
  kill(): Promise<void>;
  start(): Promise<void>;
}

type Sides = Readonly<Record<'ours' | 'raw', Traffic>>;

/** What goes on while the broker is killed. */
export interface Traffic {
  readonly arrivals: Arrivals;
  close(): Promise<void>;
}

/** What was sent on one side, and when it arrived. */
export class Arrivals {
  private readonly sentMs = new Map<string, number>();
  private readonly arrivedMs = new Map<string, number>();
  private isOver = false;

  /** Of those whose sending was begun after this moment, when the first one arrived; undefined: none yet. */
  firstAfter(ms: number): number | undefined {
    const times = [...this.arrivedMs].flatMap(([id, arrivedMs]) => ((this.sentMs.get(id) ?? 0) >= ms ? [arrivedMs] : []));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  get missing(): readonly string[] {
    return [...this.sentMs.keys()].filter((id) => !this.arrivedMs.has(id));
  }

  arrived(id: string): void {
    if (!this.arrivedMs.has(id)) this.arrivedMs.set(id, performance.now());
  }

  /** Sends one after another until it is over; what fails is not sent again. */
  async send(one: (id: string) => Promise<unknown>): Promise<void> {
    await this.again(async () => {
      const id = randomUUID();
      this.sentMs.set(id, performance.now());
      await one(id);
    });
  }

  /** Does something again and again until it is over. */
  async again(work: () => Promise<unknown>): Promise<void> {
    for (; !this.isOver; await sleep(PACE_MS)) await work().catch(() => undefined);
  }

  stop(): void {
    this.isOver = true;
  }
}

/**
 * The broker is killed with -9 under traffic of both sides and comes back. How long after it answers again the first order that is placed then is paid, through outbox, relay
 * and inbox, beside the first message that gets through by hand.
 *
 * @param name of the broker, for the result
 */
export async function recoveryOf(bench: Bench, name: string, { broker, sides }: { broker: Breakable; sides: Sides }): Promise<Result> {
  const rounds = bench.size(5, 3);
  const seconds = { ours: [] as number[], raw: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const took = await oneRound(broker, sides);
    bench.note(`back to work after ${took.ours.toFixed(2)} s, by hand after ${took.raw.toFixed(2)} s`);
    seconds.ours.push(took.ours);
    seconds.raw.push(took.raw);
  }
  await Promise.all([sides.ours.close(), sides.raw.close()]);
  const measured = { value: median(seconds.ours), reference: median(seconds.raw), unit: 's' };
  return atMostAbove(2, { name: `${name}: back to work after kill -9 of the broker`, ...measured });
}

/** Seconds of both sides, from the moment at which the broker answers to the first arrival of what was sent since it was killed. */
async function oneRound(broker: Breakable, { ours, raw }: Sides): Promise<{ ours: number; raw: number }> {
  const arrived = (ms: number) => [ours, raw].map(({ arrivals }) => arrivals.firstAfter(ms));
  const allArrived = (ms: number) => arrived(ms).every((each) => each !== undefined);
  const begunMs = performance.now();
  await until('traffic on both sides', TIMEOUT_MS, () => allArrived(begunMs));
  await sleep(SETTLED_MS);
  await broker.kill();
  const killedMs = performance.now();
  await sleep(AWAY_MS);
  await broker.start();
  const backMs = performance.now();
  await until('our side to be back', TIMEOUT_MS, () => arrived(killedMs)[0] !== undefined);
  await until('the side by hand to be back', TIMEOUT_MS, () => allArrived(killedMs));
  const [oursMs = 0, rawMs = 0] = arrived(killedMs);
  return { ours: Math.max(0, oursMs - backMs) / 1000, raw: Math.max(0, rawMs - backMs) / 1000 };
}

/** One order after another is placed, sent through the outbox, and paid. */
export async function throughTheBus(bench: Bench, over: Pick<NestShopOptions, 'kafka' | 'rabbit'>): Promise<Traffic> {
  const url = await bench.database();
  const ledger = new Ledger(url);
  await ledger.createTables();
  const shop = await NestShop.open({ url, ...over, payments: {} });
  const arrivals = new Arrivals();
  const look = async () => {
    const paid = 'select order_id as id from payment where order_id = any($1::uuid[])';
    for (const { id } of await ledger.query<{ id: string }>(paid, [arrivals.missing])) arrivals.arrived(id);
  };
  const going = Promise.all([arrivals.send((id) => shop.place({ id, total: 42 })), arrivals.again(look)]);
  return {
    arrivals,
    close: async () => {
      arrivals.stop();
      await going;
      await shop.close();
      await ledger.close();
    },
  };
}
