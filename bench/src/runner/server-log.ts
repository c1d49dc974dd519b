import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { median } from './statistics.js';

/** Time the server spent on the statements of one database in one second. */
interface LoggedSecond {
  readonly second: string;
  readonly ms: number;
}

/** A line of the server's log: database, time, process, duration. */
const LINE =
  /^(\S+) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.\d{3} \S+ (\d+) LOG: {2}duration: ([\d.]+) ms {2}(parse|bind|execute|statement)[^:]*: (.*)$/;

/** The statements of a database that were logged with their durations, second by second; the first and the last are cut off by the window. */
function secondsOf(log: string, database: string): readonly LoggedSecond[] {
  const seconds = new Map<string, number>();
  for (const { second, ms } of linesOf(log, database)) seconds.set(second, (seconds.get(second) ?? 0) + ms);
  return [...seconds].map(([second, ms]) => ({ second, ms })).slice(1, -1);
}

/** What each statement cost, by its first words, for notes: how often it ran, and how long in all. */
function statementsOf(log: string, database: string): ReadonlyMap<string, { readonly count: number; readonly ms: number }> {
  const statements = new Map<string, { count: number; ms: number }>();
  for (const { ms, text, isRun } of linesOf(log, database)) {
    const words = text.slice(0, 60);
    const known = statements.get(words) ?? { count: 0, ms: 0 };
    statements.set(words, { count: known.count + (isRun ? 1 : 0), ms: known.ms + ms });
  }
  return statements;
}

function linesOf(log: string, database: string) {
  return log.split('\n').flatMap((line) => {
    const [, name, second, , ms, kind, text] = LINE.exec(line) ?? [];
    if (name !== database) return [];
    return [{ second: second as string, ms: Number(ms), text: text as string, isRun: kind === 'execute' || kind === 'statement' }];
  });
}

/** What the server spends on a database per second while nothing is asked of it; needs sessions that log each statement. Each is noted. */
export async function idleMs(bench: Bench, database: string): Promise<number> {
  const before = bench.serverLog().length;
  await sleep(bench.size(20_000, 8000));
  const log = bench.serverLog().slice(before);
  for (const [text, { count, ms }] of [...statementsOf(log, database)].sort(([, a], [, b]) => b.ms - a.ms)) {
    bench.note(`${(ms / Math.max(1, count)).toFixed(3)} ms × ${count}: ${text}`);
  }
  return median(secondsOf(log, database).map(({ ms }) => ms));
}
