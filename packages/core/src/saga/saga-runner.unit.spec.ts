import { Permits } from '../delivery/permits.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { AttemptEnd, SagaAttempts } from './saga-attempt.js';
import type { ClaimTerms, SagaStore } from './saga.store.port.js';
import { SagaRunner } from './saga-runner.js';

/** A runner whose attempts end as the list says, in turn; the looks tell what each had in hand. Behind the last of them somebody has the row locked: looks skip it. */
function scene(ends: AttemptEnd[]) {
  const looks: (readonly string[])[] = [];
  const released: string[] = [];
  const clock = new VirtualTime();
  const store = {
    claim: async ({ inHand }: ClaimTerms) => {
      looks.push(inHand);
      const isDue = ends.length > 0 && !inHand.includes('o-1');
      return { ids: isDue ? ['o-1'] : [], nextDueMs: undefined };
    },
    release: async (ids: readonly string[]) => void released.push(...ids),
  } as Partial<SagaStore> as SagaStore;
  const attempts = { next: async () => ends.shift() ?? 'ended' } as Partial<SagaAttempts> as SagaAttempts;
  const ended: string[] = [];
  const runner = new SagaRunner({
    ...{ store, attempts, clock, logger: silentLogger },
    versions: [{ saga: 'order', version: 1 }],
    concurrency: 2,
    permits: new Permits(2),
    scheduler: clock,
    ended: (id) => ended.push(id),
  });
  return { runner, clock, looks, ended, released };
}

it('a saga that waits is looked at once more, as its time or what it waits for may have come by then', async () => {
  const { runner, clock, ended } = scene(['waits', 'ended']);
  runner.start();
  await clock.advance(0);
  expect(ended).toEqual(['o-1']);
  await runner.stop();
});

describe('a saga whose row was locked by a look of its own process', () => {
  it('is looked for again at once, and not with the next poll', async () => {
    const { runner, clock, ended } = scene(['left', 'ended']);
    runner.start();
    await clock.advance(0);
    expect(ended).toEqual(['o-1']);
    await runner.stop();
  });

  it('is given back when its process stops before it has looked again', async () => {
    const ends: AttemptEnd[] = [];
    const { runner, clock, released } = scene(ends);
    let stopped: Promise<void> | undefined;
    // It ends with 'left' when the process stops already.
    ends.shift = () => {
      ends.length = 0;
      stopped = runner.stop();
      return 'left';
    };
    ends.length = 1;
    runner.start();
    await clock.advance(0);
    await stopped;
    expect(released).toEqual(['o-1']);
  });

  it('is not looked for without end when somebody else has it', async () => {
    const { runner, clock, looks, ended } = scene(['left']);
    runner.start();
    await clock.advance(0);
    expect(ended).toEqual([]);
    expect(looks.length).toBeLessThanOrEqual(3);
    await runner.stop();
  });
});
