/** Calls in work, so that they can be given up together when stopping has reached its deadline. */
export class WorkInHand {
  /** Aborted when they are given up, for what only waits. */
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private readonly calls = new Set<() => void>();

  constructor() {
    this.signal = this.controller.signal;
  }

  /** True once everything was given up: what begins now is too late. */
  get isGivenUp(): boolean {
    return this.signal.aborted;
  }

  add(giveUp: () => void): void {
    this.calls.add(giveUp);
  }

  remove(giveUp: () => void): void {
    this.calls.delete(giveUp);
  }

  giveUp(): void {
    this.controller.abort();
    for (const giveUp of [...this.calls]) giveUp();
  }
}
