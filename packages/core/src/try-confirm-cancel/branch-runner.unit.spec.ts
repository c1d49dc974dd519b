import { Permits } from '../delivery/permits.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { BranchAttemptEnd, BranchAttempts } from './branch-attempt.js';
import type { BranchWorkStore } from './branch.store.port.js';
import { BranchRunner } from './branch-runner.js';

it.each(['waits', 'left'] as const)(
  'a branch of which an attempt ends with %s is looked for at once, and not with the next poll',
  async (end) => {
    const ends: BranchAttemptEnd[] = [end, end, 'ended'];
    const time = new VirtualTime();
    const claim: BranchWorkStore['claim'] = async ({ inHand }) => {
      const isDue = ends.length > 0 && !inHand.includes('b-1');
      return { ids: isDue ? ['b-1'] : [], nextDueMs: undefined };
    };
    const next = async () => ends.shift() ?? 'left';
    const runner = new BranchRunner({
      store: { claim, release: async () => undefined } as Partial<BranchWorkStore> as BranchWorkStore,
      attempts: { next } as Partial<BranchAttempts> as BranchAttempts,
      methods: ['cards.hold'],
      concurrency: 2,
      permits: new Permits(2),
      scheduler: time,
      logger: silentLogger,
    });
    runner.start();
    await time.advance(0);
    expect(ends).toEqual([]);
    await runner.stop();
  },
);
