import { Permits } from '@holdfast/core';

/** Something with connections of its own, which can be opened again. */
export interface Closable {
  close(): Promise<void>;
}

/** Bounds how many are open in a process: when there are too many, the one that was not used for longest is closed. */
export class ProducerSlots {
  /** The one that was not used for longest first. */
  private readonly open = new Set<Closable>();
  private readonly inUse = new Set<Closable>();
  private readonly permits: Permits;

  constructor(private readonly limit: number) {
    this.permits = new Permits(limit);
  }

  /** Uses one: it stays open meanwhile. */
  use<T>(one: Closable, work: () => Promise<T>): Promise<T> {
    return this.permits.run(async () => {
      this.inUse.add(one);
      try {
        return await work();
      } finally {
        this.inUse.delete(one);
      }
    });
  }

  /** It was opened, or used once more. No more are in use than may be open, so there is one that can be closed. */
  async opened(one: Closable): Promise<void> {
    this.open.delete(one);
    this.open.add(one);
    if (this.open.size <= this.limit) return;
    const oldest = [...this.open].find((each) => !this.inUse.has(each));
    await oldest?.close();
  }

  closed(one: Closable): void {
    this.open.delete(one);
  }
}
