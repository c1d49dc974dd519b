import { silentLogger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { Housekeeper } from './housekeeper.js';

const nothing = async () => 0;

/** A store of which nothing is known but what is given. */
function storeWith(parts: object): Store {
  return {
    nodes: { join: nothing, heartbeat: async () => false, reap: async () => [] },
    upkeep: {
      fence: nothing,
      raiseSequences: async () => [],
      moveScheduled: async () => ({ moved: 0, nextDueMs: undefined }),
      trim: nothing,
    },
    inbox: { trim: nothing },
    receipts: { trim: nothing },
    halfMessages: { trim: nothing },
    sagas: { operations: { trim: nothing } },
    branches: { operations: { trim: nothing } },
    choreography: { trim: nothing },
    stepGuards: { trim: nothing },
    replies: { trim: nothing },
    ...parts,
  } as unknown as Store;
}

/** What is asked to be trimmed within a second, while there is so much. */
async function trimmed(part: 'replies' | 'choreography', left: number[]): Promise<(readonly number[])[]> {
  const time = new VirtualTime();
  const asked: (readonly number[])[] = [];
  const trim = async (...args: readonly number[]) => {
    asked.push(args);
    return left.shift() ?? 0;
  };
  const ends = { moved: () => undefined, checkBack: async () => false };
  const housekeeper = new Housekeeper({
    store: storeWith({ [part]: { trim } }),
    service: 'shop',
    nodeId: 'one',
    retentionMs: 1,
    stepDataSources: () => ['ledger'],
    undoRetentionMs: 90,
    scheduler: time,
    logger: silentLogger,
    ...ends,
  });
  housekeeper.start();
  await time.advance(1000);
  await housekeeper.stop();
  return asked;
}

it('a house-keeper trims replies that nobody has read for ten minutes, at once again while there are more', async () => {
  expect(await trimmed('replies', [1000, 1000, 7])).toEqual([1, 2, 3].map(() => [600_000, 1000]));
});

it('a house-keeper trims what can be undone no longer, at once again while there is more', async () => {
  expect(await trimmed('choreography', [1000, 7])).toEqual([1, 2].map(() => [90, 1000]));
});
