import { pause } from './account.js';
import type { Program } from './program.js';

/** A program that is to freeze tells its memory so often. */
export const BEAT_MS = 100;

/** Until a program that tells its memory all the time has said nothing for a while. */
export async function frozen(program: Program): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (let last = -1; program.lines.length !== last; await pause(600)) {
    if (performance.now() > deadline) throw new Error('The program has not frozen');
    last = program.lines.length;
  }
}
