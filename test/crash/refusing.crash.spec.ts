// A process dies when it refuses a request: whoever asked gets one answer, and nothing waits for a person.
import { openArena } from './support/arena.js';
import { buildPrograms } from './support/program.js';
import { endOfRefusing, REFUSAL_DEATHS } from './support/undoing.js';

describe('a request is refused with one answer, which repeats get too, when its process dies', () => {
  beforeAll(buildPrograms);

  it.concurrent.each(REFUSAL_DEATHS)('at $at, transactional $isTransactional', async (death) => {
    const arena = await openArena();
    const { effects, ...end } = await endOfRefusing(arena, death);
    await arena.close();
    const { isTransactional } = death;
    const refused = { code: 'NonRetryableError', message: 'not enough money', details: {}, isDefinite: isTransactional };
    expect(end).toEqual({
      signal: 'SIGKILL',
      answers: [refused],
      again: refused,
      stored: [],
      // What was begun outside any transaction may have had its effect: it is called again when it is asked again.
      memory: [isTransactional ? 'cancelled' : 'claimed'],
    });
    if (isTransactional) expect(effects).toBe(0);
  });
});
