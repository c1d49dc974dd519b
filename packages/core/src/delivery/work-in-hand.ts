import { setMaxListeners } from 'node:events';

/** Calls in work, so that they can be given up together when stopping has reached its deadline. */
export class WorkInHand {
  /** Aborted when they are given up, for what only waits. */
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private readonly calls = new Set<() => void>();

  constructor() {
    this.signal = this.controller.signal;
    // As many as there are messages in hand wait with it: Node.js would take the eleventh for a leak.
    setMaxListeners(0, this.signal);
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
