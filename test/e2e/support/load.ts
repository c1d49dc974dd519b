import { eventually, pause } from '@holdfast-internal/test-support';
import type { Holdfast } from '@holdfast/core';
import { numbers, OrderPlaced, type Shop } from './shop.js';

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
/** Orders of a key that are published before the first of them has its effect: what is behind after an outage does not depend on the machine. */
const AHEAD = 12;

/** Publishes orders of all keys, one after another in each and never far ahead of the effects, until it is stopped. */
export class Load {
  readonly counts = new Map(KEYS.map((key) => [key, 0]));
  private readonly booked = new Map<string | null, number>();
  private isStopping = false;
  private readonly running: Promise<unknown>;

  constructor(
    private readonly shop: Shop,
    private readonly till: Holdfast,
  ) {
    this.running = Promise.all([this.watch(), ...KEYS.map((key) => this.run(key))]);
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  private async run(key: string): Promise<void> {
    for (let n = 1; !this.isStopping; await pause(120)) {
      if (n > (this.booked.get(key) ?? 0) + AHEAD) continue;
      await this.till.bus.publish(new OrderPlaced(n), { key });
      this.counts.set(key, n);
      n += 1;
    }
  }

  private async watch(): Promise<void> {
    for (; !this.isStopping; await pause(250)) for (const { key, n } of await this.shop.effects()) this.booked.set(key, n);
  }
}

/** Resolves when some more orders have had their effect. */
export async function hasGrown(shop: Shop): Promise<void> {
  const before = (await shop.effects()).length;
  await eventually(
    () => shop.effects(),
    ({ length }) => length > before + 30,
  );
}

/** Waits until all that was published has its effect, and looks whether that is so once and in order. */
export async function expectAll(shop: Shop, load: Load): Promise<void> {
  await eventually(
    () => shop.effects(),
    ({ length }) => length >= load.total,
  );
  for (const key of KEYS) expect(await shop.effectsOf(key)).toEqual(numbers(load.counts.get(key) ?? 0));
}
