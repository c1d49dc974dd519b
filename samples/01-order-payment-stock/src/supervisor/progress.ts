const REDRAW_MS = 100;
const LINE_MS = 1000;

/** Prints lines that stay and one line of progress: redrawn on a terminal, elsewhere repeated every second. */
export class Progress {
  private current = '';
  private shownMs = Number.NEGATIVE_INFINITY;
  private readonly isTerminal: boolean;

  constructor(private readonly out: NodeJS.WriteStream) {
    this.isTerminal = out.isTTY === true;
  }

  say(line = ''): void {
    if (!this.isTerminal) {
      this.out.write(`${line}\n`);
      return;
    }
    this.out.write(`${this.clear()}${line}\n${this.current}`);
  }

  show(line: string): void {
    const nowMs = performance.now();
    if (nowMs - this.shownMs < (this.isTerminal ? REDRAW_MS : LINE_MS)) return;
    this.shownMs = nowMs;
    if (this.isTerminal) this.out.write(`${this.clear()}${line}`);
    else this.out.write(`${line}\n`);
    this.current = line;
  }

  /** The line of progress stays as it is; what comes goes below it. */
  finish(line: string): void {
    this.shownMs = Number.NEGATIVE_INFINITY;
    this.show(line);
    if (this.isTerminal) this.out.write('\n');
    this.current = '';
  }

  private clear(): string {
    return this.current === '' ? '' : '\r\x1b[2K';
  }
}
