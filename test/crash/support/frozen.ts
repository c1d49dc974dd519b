import { PATIENCE_MS } from '@holdfast-internal/test-support';
import { readFileSync } from 'node:fs';
import { pause } from './account.js';
import type { Arena } from './arena.js';
import type { Program } from './program.js';

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
