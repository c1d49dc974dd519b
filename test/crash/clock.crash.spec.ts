import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';

const HOUR_MS = 3_600_000;
const TTL_MS = HOUR_MS / 2;

describe('a process whose clock is moved by an hour', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms);

  it.concurrent.each([
    ['ahead', HOUR_MS],
    ['behind', -HOUR_MS],
  ])(
    '%s: nothing expires early, and no schedule, retry or lease is stuck',
    async (_, clockShiftMs) => {
      const arena = await openArena();
      const subscriptions = [
        { name: 'ordered', isOrdered: true, ttlMs: TTL_MS },
        { name: 'batch', batchSize: 8, ttlMs: TTL_MS },
        { name: 'leased', isTransactional: false, lockTtlMs: 2000, ttlMs: TTL_MS },
      ];
      const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions };
      const wrong = await new Program(options, { canShiftClock: true }).ready();
      const right = await new Program(options).ready();
      const kinds = ['ok', 'throw-once', 'slow'] as const;
      const load = Promise.all([wrong, right].map((program) => program.publish({ count: 30, kinds, ms: 20, perSecond: 30 })));
      await pause(500);
      wrong.order({ shiftClockMs: clockShiftMs });
      await load;
      await Promise.all([wrong, right].map((program) => program.publish({ count: 10, delayMs: 300 })));
      // Keys of their own: what is delayed may be overtaken.
      await wrong.publish({ count: 10, keyPrefix: 'last' });
      const promises = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'], minimum: 60 };
      const { faults } = await account(arena, [wrong, right], promises);
      const letters = await arena.look('select state, error_code, error_message from holdfast_delivery');
      expect({ faults, letters }).toEqual({ faults: [], letters: [] });
      const [late] = await arena.look<{ ms: number }>(
        `select max(extract(epoch from first - at) * 1000)::float8 as ms from intent
       join lateral (select min(e.at) as first from effect e where e.message_id = intent.message_id) e on true`,
      );
      expect(late?.ms).toBeLessThan(10_000);
      const nodes = await arena.look('select id from holdfast_node');
      expect(nodes).toHaveLength(2);
      await arena.close();
    },
    90_000,
  );
});
