/** How long a write is remembered. Contexts live on in whatever was started from them (a server, a timer), which has nothing to do with the write. */
const REMEMBERED_MS = 1000;

/** What an asynchronous context knows of a write outside any unit that it called. */
export class WriteNote {
  private readonly beforeMs: number;
  private lastMs: number;
  private hasBegun = false;

  /** @param before the note it takes the place of */
  constructor(before?: WriteNote) {
    this.beforeMs = before?.lastMs ?? Number.NEGATIVE_INFINITY;
    this.lastMs = this.beforeMs;
  }

  /** Something is being written. */
  begun(): void {
    this.hasBegun = true;
    // tidy: ambient-time: how long the process itself has run since; a clock that a test holds still or moves would have it remembered for ever, or not at all
    this.lastMs = performance.now();
  }

  /** What was begun is kept; nothing changes when nothing was. */
  done(): void {
    if (this.hasBegun) this.begun();
  }

  /** Nothing of it is kept. */
  failed(): void {
    this.hasBegun = false;
    this.lastMs = this.beforeMs;
  }

  get isRecent(): boolean {
    // tidy: ambient-time: the same time of the process
    return performance.now() - this.lastMs < REMEMBERED_MS;
  }
}
