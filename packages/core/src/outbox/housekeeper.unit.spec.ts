import { silentLogger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { Housekeeper } from './housekeeper.js';

it('a house-keeper trims replies that nobody has read for ten minutes, at once again while there are more', async () => {
  const time = new VirtualTime();
  const left = [1000, 1000, 7];
  const asked: (readonly number[])[] = [];
  const nothing = async () => 0;
  const store = {
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
    choreography: { trim: nothing },
    replies: {
      trim: async (...args: readonly number[]) => {
        asked.push(args);
        return left.shift() ?? 0;
      },
    },
  } as unknown as Store;
  const ends = { moved: () => undefined, checkBack: async () => false };
  const context = {
    store,
    service: 'shop',
    nodeId: 'one',
    retentionMs: 1,
    undoRetentionMs: 1,
    scheduler: time,
    logger: silentLogger,
    ...ends,
  };
  const housekeeper = new Housekeeper(context);
  housekeeper.start();
  await time.advance(1000);
  await housekeeper.stop();
  expect(asked).toEqual([1, 2, 3].map(() => [600_000, 1000]));
});
