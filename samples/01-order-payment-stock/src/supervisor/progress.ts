const REDRAW_MS = 100;
const REPEAT_MS = 1000;

/** Prints lines that stay, and one line of progress: redrawn on a terminal, elsewhere repeated every second. */
export class Progress {
  private readonly startedMs = performance.now();
  private readonly isTerminal: boolean;
  private current = '';
  private lastLine = '';
  private shownMs = Number.NEGATIVE_INFINITY;
  private isSilent = false;

  constructor(private readonly out: NodeJS.WriteStream) {
    this.isTerminal = out.isTTY === true;
  }

  /** A line that stays. */
  say(line: string): void {
    if (!this.isSilent) this.out.write(`${this.erase()}${line}\n${this.current}`);
  }

  /** A line that stays, with its time. */
  event(line: string): void {
    this.say(`${this.clock()}  ${line}`);
  }

  /** The line of progress, not more often than anybody can read. */
  show(line: string): void {
    const nowMs = performance.now();
    if (nowMs - this.shownMs < (this.isTerminal ? REDRAW_MS : REPEAT_MS)) return;
    this.shownMs = nowMs;
    this.write(line);
  }

  /** The last line of progress: it stays. */
  finish(line: string): void {
    if (this.isTerminal || line !== this.lastLine) this.write(line);
    if (this.isTerminal && !this.isSilent) this.out.write('\n');
    this.current = '';
  }

  /** The last line: whatever still happens is not shown. */
  close(line: string): void {
    this.out.write(`${this.current === '' ? '' : '\n'}\n${line}\n`);
    this.isSilent = true;
  }

  private write(line: string): void {
    if (this.isSilent) return;
    this.lastLine = line;
    const text = `${this.clock()}  ${line}`;
    this.out.write(this.isTerminal ? `${this.erase()}${text}` : `${text}\n`);
    if (this.isTerminal) this.current = text;
  }

  private erase(): string {
    return this.current === '' ? '' : '\r\x1b[2K';
  }

  private clock(): string {
    return `${seconds(performance.now() - this.startedMs).padStart(5)} s`;
  }
}

/** Seconds with one decimal. */
export function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
