import { PATIENCE_MS } from '@holdfast-internal/test-support';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Line, Order, ProgramOptions, Publishing } from '../programs/options.js';

const DIRECTORY = join(__dirname, '..', 'programs');
const ROOT = join(__dirname, '..', '..', '..');

type LineOf<E extends Line['e']> = Extract<Line, { readonly e: E }>;

/** How a program is started, besides its options. */
export interface Launch {
  /** `HOLDFAST_FAILPOINT`. */
  readonly failpoint?: string;
  /** Its clock, not that of the database, can be moved by the order `shiftClockMs`. */
  readonly canShiftClock?: boolean;
}

const running = new Set<Program>();
const supervisors = new Set<Supervised>();
let isBuilt = false;

/** Compiles the programs and what they import, once per test file. */
export function buildPrograms(): void {
  if (isBuilt) return;
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-b', DIRECTORY], { cwd: ROOT, stdio: 'inherit' });
  isBuilt = true;
}

/** Kills every program that still runs, for good; for `afterEach`, or `afterAll` where tests run side by side. */
export async function killPrograms(): Promise<void> {
  for (const supervisor of supervisors) supervisor.giveUp();
  await Promise.all([...running].map((program) => program.kill()));
}

/** One process of the service under test, and everything it said. */
export class Program {
  readonly lines: Line[] = [];
  /** How it ended, with the signal or the exit code. */
  readonly ended: Promise<{ readonly signal: NodeJS.Signals | null; readonly code: number | null }>;
  /** What it wrote to its standard error: nothing, as a rule. */
  errors = '';
  private readonly child: ChildProcess;
  private readonly watchers = new Set<() => void>();
  private isOver = false;
  private orders = 0;

  constructor(options: ProgramOptions, { failpoint, canShiftClock = false }: Launch = {}) {
    buildPrograms();
    const preload = canShiftClock ? ['--require', join(DIRECTORY, '.build', 'shift-clock.js')] : [];
    const env = {
      ...process.env,
      CRASH_OPTIONS: JSON.stringify(options),
      HOLDFAST_FAILPOINT: failpoint ?? '',
    };
    this.child = spawn(process.execPath, [...preload, join(DIRECTORY, '.build', options.isNest ? 'nest-service.js' : 'service.js')], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(this);
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
    });
    this.child.stdin?.on('error', () => undefined);
    const lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => this.heard(line));
    const closed = new Promise<void>((resolve) => lines.once('close', resolve));
    this.ended = new Promise((resolve) => {
      this.child.once('exit', async (code, signal) => {
        await closed;
        this.isOver = true;
        running.delete(this);
        for (const watcher of this.watchers) watcher();
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get hasEnded(): boolean {
    return this.isOver;
  }

  /** All lines of one kind. */
  said<E extends Line['e']>(e: E): LineOf<E>[] {
    return this.lines.filter((line): line is LineOf<E> => line.e === e);
  }

  /** The first line of this kind, as soon as it is said. */
  async line<E extends Line['e']>(e: E, matches: (line: LineOf<E>) => boolean = () => true, patienceMs = PATIENCE_MS): Promise<LineOf<E>> {
    const found = await this.until(() => this.said(e).find(matches), patienceMs);
    if (found === undefined) throw new Error(`The program did not say ${e} within ${patienceMs} ms. ${this.lastWords()}`);
    return found;
  }

  /** Resolves when it has started. */
  async ready(): Promise<this> {
    await this.line('ready');
    return this;
  }

  /** Publishes messages and waits until all of their units have ended, if they ever do. */
  async publish(publishing: Omit<Publishing, 'prefix'> & { readonly prefix?: string }, patienceMs = PATIENCE_MS): Promise<string> {
    this.orders += 1;
    const prefix = publishing.prefix ?? `m${this.pid}-${this.orders}`;
    this.order({ publish: { ...publishing, prefix } });
    const hasEnd = publishing.count !== undefined || publishing.untilAcknowledged !== undefined;
    if (hasEnd) await this.line('published', (line) => line.prefix === prefix, patienceMs);
    return prefix;
  }

  order(order: Order): void {
    this.child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** kill -9, also of a frozen one. */
  async kill(): Promise<void> {
    if (!this.isOver) this.child.kill('SIGKILL');
    await this.ended;
  }

  /** SIGTERM, and how long it took to end. */
  async stop(patienceMs = PATIENCE_MS): Promise<{ readonly code: number | null; readonly ms: number }> {
    const started = performance.now();
    this.signal('SIGTERM');
    const { code } = await this.end(patienceMs);
    return { code, ms: performance.now() - started };
  }

  /** How it ended. */
  async end(patienceMs = PATIENCE_MS): Promise<{ readonly signal: NodeJS.Signals | null; readonly code: number | null }> {
    await this.until(() => (this.isOver ? true : undefined), patienceMs);
    if (!this.isOver) throw new Error(`The program did not end within ${patienceMs} ms. ${this.lastWords()}`);
    return this.ended;
  }

  private async until<T>(look: () => T | undefined, patienceMs: number): Promise<T | undefined> {
    const now = look();
    if (now !== undefined || this.isOver) return now;
    return new Promise((resolve) => {
      const finish = (value: T | undefined): void => {
        clearTimeout(timer);
        this.watchers.delete(watcher);
        resolve(value);
      };
      const watcher = (): void => {
        const value = look();
        if (value !== undefined || this.isOver) finish(value);
      };
      const timer = setTimeout(() => finish(undefined), patienceMs);
      this.watchers.add(watcher);
    });
  }

  private heard(text: string): void {
    this.lines.push(JSON.parse(text) as Line);
    for (const watcher of this.watchers) watcher();
  }

  private lastWords(): string {
    const last = this.lines.filter(({ e }) => !['attempted', 'acknowledged', 'refused'].includes(e)).slice(-8);
    return `It last said:\n${last.map((line) => JSON.stringify(line)).join('\n')}\n${this.errors}`;
  }
}

/** Starts a program again whenever it dies, as a supervisor does, until it is told to end. */
export class Supervised {
  readonly programs: Program[] = [];
  private isOver = false;
  private readonly task: Promise<void>;

  /** @param launch of the first start; later ones have nothing armed. */
  constructor(
    private readonly options: ProgramOptions,
    launch: Launch = {},
  ) {
    supervisors.add(this);
    this.task = this.run(launch);
  }

  /** Starts nothing any more. */
  giveUp(): void {
    this.isOver = true;
    supervisors.delete(this);
  }

  /** The process that runs now, once it is ready. */
  async current(): Promise<Program> {
    for (;;) {
      const program = this.programs.at(-1) as Program;
      await Promise.race([program.line('ready').catch(() => undefined), program.ended]);
      if (!program.hasEnded) return program;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** How often it died. */
  get deaths(): number {
    return this.programs.filter(({ hasEnded }) => hasEnded).length;
  }

  /** Stops it for good. */
  async stop(): Promise<void> {
    const program = await this.current();
    this.giveUp();
    await program.stop();
    await this.task;
  }

  private async run(first: Launch): Promise<void> {
    for (let launch = first; !this.isOver; launch = {}) {
      const program = new Program(this.options, launch);
      this.programs.push(program);
      const { code, signal } = await program.ended;
      // Killed from outside by the end of the test.
      if (code === 0 || signal === 'SIGTERM' || this.programs.length > 60) return;
    }
  }
}
