import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { Housekeeper } from './housekeeper.js';

const nothing = async () => 0;

/** A store of which nothing is known but what is given. */
function storeWith(parts: object): Store {
  return {
    nodes: { join: nothing, heartbeat: nothing, reap: async () => [] },
    upkeep: {
      fence: nothing,
      raiseSequences: async () => [],
      moveScheduled: async () => ({ moved: 0, lanes: [], nextDueMs: undefined }),
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

function keeperOf(time: VirtualTime, parts: object): Housekeeper {
  return new Housekeeper({
    store: storeWith(parts),
    service: 'shop',
    nodeId: 'one',
    retentionMs: 1,
    stepDataSources: () => ['ledger'],
    undoRetentionMs: 90,
    scheduler: time,
    logger: silentLogger,
    moved: () => undefined,
    checkBack: async () => false,
  });
}

/** What is asked to be trimmed within a second, while there is so much. */
async function trimmed(part: 'replies' | 'choreography', left: number[]): Promise<(readonly number[])[]> {
  const time = new VirtualTime();
  const asked: (readonly number[])[] = [];
  const trim = async (...args: readonly number[]) => {
    asked.push(args);
    return left.shift() ?? 0;
  };
  const housekeeper = keeperOf(time, { [part]: { trim } });
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

/** A process among others, whose database can be away, and whose clock can be set forward. */
class Heard {
  readonly time = new VirtualTime();
  readonly keeper: Housekeeper;
  /** When others were judged. */
  judged: number[] = [];
  beats = 0;
  isAway = false;
  aheadMs = 0;
  private lastMs = 0;

  constructor(reap: () => Promise<readonly string[]> = async () => []) {
    this.keeper = keeperOf(this.time, {
      nodes: { join: nothing, heartbeat: () => this.heartbeat(), reap: () => this.judging(reap) },
    });
  }

  private async heartbeat(): Promise<number> {
    if (this.isAway) throw new Error('away');
    const pauseMs = this.nowMs() - this.lastMs;
    this.lastMs = this.nowMs();
    this.beats += 1;
    return pauseMs;
  }

  /** As a store does: whoever has not spoken finds nobody. */
  private async judging(reap: () => Promise<readonly string[]>): Promise<readonly string[]> {
    if (this.isAway) throw new Error('away');
    if (this.nowMs() - this.lastMs > 3000) return [];
    this.judged.push(this.time.monotonicMs());
    return reap();
  }

  private nowMs(): number {
    return this.time.monotonicMs() + this.aheadMs;
  }
}

it('a house-keeper finds nobody dead until it was heard for six seconds itself: after its start, an outage, and a step of the clock', async () => {
  const heard = new Heard();
  const { time, keeper } = heard;
  const firstAfter = async (sinceMs: number) => {
    heard.judged = [];
    await time.advance(20_000);
    return (heard.judged[0] ?? Number.POSITIVE_INFINITY) - sinceMs;
  };
  await keeper.join();
  const first = [await firstAfter(0)];
  heard.isAway = true;
  await time.advance(10_000);
  heard.isAway = false;
  first.push(await firstAfter(time.monotonicMs()));
  heard.aheadMs = 3_600_000;
  first.push(await firstAfter(time.monotonicMs()));
  for (const ms of first) {
    expect(ms).toBeGreaterThanOrEqual(6000);
    // The longest rest of a loop that failed, and a tick.
    expect(ms).toBeLessThan(12_000);
  }
  expect(first[0]).toBeLessThan(7000);
  await keeper.stop();
});

it('a house-keeper tells of each dead process that it finds, and how long that had been silent', async () => {
  const told: unknown[] = [];
  const stop = subscribe('node:found-dead', (fact) => told.push(fact));
  const found = [['other', 'third']];
  const heard = new Heard(async () => found.splice(0).flat());
  await heard.keeper.join();
  await heard.time.advance(20_000);
  stop();
  expect(told).toEqual(['other', 'third'].map((node) => ({ service: 'shop', node, silentMs: 6000 })));
  await heard.keeper.stop();
});

it('a house-keeper says each second that its process lives, also while a look at others waits', async () => {
  const heard = new Heard(() => new Promise(() => undefined));
  await heard.keeper.join();
  await heard.time.advance(30_000);
  expect(heard.judged).toHaveLength(1);
  expect(heard.beats).toBeGreaterThanOrEqual(30);
});

it.each([
  [3500, 10_500],
  [9000, 15_000],
])(
  'a house-keeper that is heard each %i ms, because connections are scarce, still finds the dead, and gives others %i ms',
  async (lateMs, silentMs) => {
    const time = new VirtualTime();
    const asked: number[] = [];
    let pauseMs = lateMs;
    const reap = async (_: string, silentForMs: number) => {
      asked.push(silentForMs);
      return [];
    };
    const keeper = keeperOf(time, { nodes: { join: nothing, heartbeat: async () => pauseMs, reap } });
    await keeper.join();
    await time.advance(15_000);
    expect(new Set(asked)).toEqual(new Set([silentMs]));
    pauseMs = 1000;
    await time.advance(60_000);
    expect(asked.at(-1)).toBe(6000);
    await keeper.stop();
  },
);
