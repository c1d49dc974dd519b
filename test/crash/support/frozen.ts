import { readFileSync } from 'node:fs';
import { pause } from './account.js';
import type { Arena } from './arena.js';
import type { Program } from './program.js';

/** A program that is to freeze tells its memory so often. */
export const BEAT_MS = 100;
const PATIENCE_MS = 60_000;

/** Until a program that tells its memory all the time has said nothing for a while. */
export async function frozen(program: Program): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let last = -1; program.lines.length !== last; await pause(600)) {
    if (performance.now() > deadline) throw new Error('The program has not frozen');
    last = program.lines.length;
  }
}

/** Until a program has been stopped by a signal, however busy the machine is. */
export async function stopped({ pid }: Program): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (; !/\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')); await pause(50))
    if (performance.now() > deadline) throw new Error('The program has not been stopped');
}

/** Publishes until a process that was woken has handled some of what is new. */
export async function untilAtWork(arena: Arena, woken: Program, publisher: Program): Promise<void> {
  const [now] = await arena.look<{ at: Date }>('select clock_timestamp() as at');
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await pause(100)) {
    await publisher.publish({ count: 40 });
    const handled = await arena.look('select from effect e join intent i using (message_id) where e.pid = $1 and i.at > $2 limit 1', [
      woken.pid,
      now?.at,
    ]);
    if (handled.length > 0) return;
  }
  throw new Error('The program that was woken handles nothing any more');
}
