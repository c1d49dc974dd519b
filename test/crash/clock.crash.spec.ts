import { openArena } from './support/arena.js';
import { buildPrograms, killPrograms } from './support/program.js';
import { SHIFTS, workByWrongClock } from './support/wrong-clock.js';

describe('a process whose clock is moved by an hour', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms);

  it.concurrent.each(SHIFTS)('%s: nothing expires early, and no schedule, retry or lease is stuck', async (_, clockShiftMs) => {
    const arena = await openArena();
    const { lateMs, ...result } = await workByWrongClock(arena, {}, clockShiftMs);
    expect(result).toEqual({ faults: [], letters: [], nodes: 2 });
    // A small part of the hour; the most of it is for a busy machine.
    expect(lateMs).toBeLessThan(20_000);
    await arena.close();
  });
});
