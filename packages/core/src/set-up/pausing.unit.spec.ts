import { Holdfast } from '../holdfast.js';
import { Message } from '../message/message.js';
import { silentLogger } from '../monitoring/logger.js';
import type { Hint, Store, Wakeups } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { Sink, Transport, TransportCapabilities } from '../transport/transport.port.js';

@Message('order.placed')
class Placed {}

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: false,
  fromEarliest: false,
  withoutStore: false,
  renamedSubscriptions: false,
  replies: false,
};

/** A store that is slow to say what is paused, and a transport that notes whether it was told before it begins, and each look at the log. */
function scene(paused: readonly string[], wakeups: Partial<Wakeups> = {}) {
  const seen: boolean[] = [];
  const looks = { count: 0, atStored: 0 };
  const now = new Set(paused);
  const transport = {
    capabilities: CAPABILITIES,
    isBusy: false,
    start: async () => undefined,
    publish: async () => [],
    nudge: () => {
      looks.count += 1;
    },
    close: async () => undefined,
    subscribe: async (_: unknown, sink: Sink) => void seen.push(sink.isPaused),
  } as unknown as Transport;
  const nothing = async () => undefined;
  const store = {
    description: 'slow',
    maxConcurrency: 5,
    transactions: { dataSources: ['default'] },
    schema: { status: async () => ({ found: 1, wanted: 1 }) },
    subscriptions: {
      register: async () => [{ name: 'orders.book', id: 1, isNew: true }],
      paused: async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return new Set(now);
      },
    },
    log: { stranded: async () => [] },
    carrier: {
      settle: async () => 'broker',
      announce: async () => undefined,
      advance: async () => ({ isSwitched: false, reading: [] }),
    },
    deliveries: {
      due: async () => {
        looks.atStored += 1;
        return new Map();
      },
      freeForgotten: async () => 0,
    },
    inbox: { trim: async () => 0 },
    sagas: { operations: { trim: async () => 0, openBesides: async () => [] } },
    branches: { operations: { trim: async () => 0, openBesides: async () => [] } },
    upkeep: {
      fence: nothing,
      raiseSequences: async () => [],
      moveScheduled: async () => ({ moved: 0, lanes: [], nextDueMs: undefined }),
      trim: async () => 0,
    },
    nodes: { join: nothing, heartbeat: async () => 0, reap: async () => [], leave: nothing },
    wakeups: { listen: async () => true, stopListening: () => undefined, notify: () => undefined, ...wakeups },
    open: nothing,
    ready: nothing,
    close: nothing,
  } as unknown as Store;
  const options = {
    service: 'shop',
    transport: { transport: 'noting', capabilities: CAPABILITIES, create: () => transport },
    store: { store: 'slow', tokens: {}, create: () => store },
    relay: false,
  };
  const time = new VirtualTime();
  const runtime = { logger: silentLogger, scheduler: time, clock: time };
  const holdfast = new Holdfast(options, runtime).on(Placed, () => undefined, { name: 'orders.book' });
  return { holdfast, time, seen, looks, resume: () => now.clear() };
}

async function subscribedWith(paused: readonly string[]): Promise<boolean[]> {
  const { holdfast, seen } = scene(paused);
  await holdfast.start();
  await holdfast.stop();
  return seen;
}

it('a transport knows that a subscription is paused before it hands over its first message', async () => {
  expect(await subscribedWith(['orders.book'])).toEqual([true]);
  expect(await subscribedWith([])).toEqual([false]);
});

it('a process that others cannot wake looks by itself, all the time, until it hears of them', async () => {
  let wake: (hint: Hint) => void = () => undefined;
  const listen = async (woken: typeof wake) => {
    wake = woken;
    return false;
  };
  const { holdfast, time, looks } = scene([], { listen });
  const looksIn = async (ms: number) => {
    const before = looks.count;
    await time.advance(ms);
    return looks.count - before;
  };
  await holdfast.start();
  expect(await looksIn(5000)).toBeGreaterThanOrEqual(100);
  const before = looks.count;
  wake({ lanes: undefined, hasReplies: true });
  expect(looks.count).toBe(before + 1);
  expect(await looksIn(5000)).toBe(0);
  const stopped = holdfast.stop();
  await time.advance(60_000);
  await stopped;
});

it('a subscription that goes on has its stored deliveries looked at as soon as that is seen', async () => {
  const { holdfast, time, looks, resume } = scene(['orders.book']);
  await holdfast.start();
  // Before the first look of its own has its answer.
  resume();
  const before = looks.atStored;
  // No time passes for the other looks.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(looks.atStored).toBe(before + 1);
  const stopped = holdfast.stop();
  await time.advance(60_000);
  await stopped;
});
