/**
 * Makes one piece of work of many: what comes while one is on its way shares the next one, and what comes in the same turn of the event loop is together
 * anyway.
 */
export class Gathered<Item, Result> {
  private waiting: { readonly item: Item; readonly settle: (results: Promise<Result>) => void }[] = [];
  private isWorking = false;

  /** @param work one result for each item, in their order */
  constructor(private readonly work: (items: readonly Item[]) => Promise<readonly Result[]>) {}

  run(item: Item): Promise<Result> {
    return new Promise((resolve) => {
      this.waiting.push({ item, settle: resolve });
      if (this.isWorking) return;
      this.isWorking = true;
      queueMicrotask(() => void this.next());
    });
  }

  private async next(): Promise<void> {
    while (this.waiting.length > 0) {
      const taken = this.waiting.splice(0);
      const done = this.work(taken.map(({ item }) => item));
      for (const [place, { settle }] of taken.entries()) settle(done.then((results) => results[place] as Result));
      await done.catch(() => undefined);
    }
    this.isWorking = false;
  }
}
