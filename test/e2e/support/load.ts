import { eventuallyWithin, pause } from '@holdfast-internal/test-support';
import type { Holdfast } from '@holdfast/core';
import { numbers, OrderPlaced, type Shop } from './shop.js';

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
const eventually = eventuallyWithin(60_000);

/** Publishes orders of all keys, one after another in each, until it is stopped. */
export class Load {
  readonly counts = new Map(KEYS.map((key) => [key, 0]));
  private isStopping = false;
  private readonly running: Promise<unknown>;

  constructor(private readonly till: Holdfast) {
    this.running = Promise.all(KEYS.map((key) => this.run(key)));
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  private async run(key: string): Promise<void> {
    for (let n = 1; !this.isStopping; n += 1) {
      await this.till.bus.publish(new OrderPlaced(n), { key });
      this.counts.set(key, n);
      await pause(60);
    }
  }
}

/** Waits until all that was published has its effect, and looks whether that is so once and in order. */
export async function expectAll(shop: Shop, load: Load): Promise<void> {
  await eventually(
    () => shop.effects(),
    ({ length }) => length >= load.total,
  );
  for (const key of KEYS) expect(await shop.effectsOf(key)).toEqual(numbers(load.counts.get(key) ?? 0));
}
