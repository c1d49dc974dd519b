/** Something that bounds how much is in work at once; those who wait are served in order. */
export class Permits {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }
}

/**
 * How many hand-overs of what is new each of several subscriptions may have in work when they share `total` connections: what it asks for, but
 * never so many that it alone leaves none for another one. Several together can; then who waits is served in order.
 */
export function shareOf(total: number, wanted: number, subscriptions: number): number {
  return Math.max(1, Math.min(wanted, total - (subscriptions - 1)));
}
