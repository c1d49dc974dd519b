import { Holdfast } from '../holdfast.js';
import { Message } from '../message/message.js';
import { silentLogger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
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

/** A store that is slow to say what is paused, and a transport that notes whether it was told before it begins. */
async function subscribedWith(paused: readonly string[]): Promise<boolean[]> {
  const seen: boolean[] = [];
  const transport = {
    capabilities: CAPABILITIES,
    isBusy: false,
    start: async () => undefined,
    publish: async () => [],
    nudge: () => undefined,
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
        return new Set(paused);
      },
    },
    log: { stranded: async () => [] },
    carrier: {
      settle: async () => 'broker',
      announce: async () => undefined,
      advance: async () => ({ isSwitched: false, reading: [] }),
    },
    deliveries: { due: async () => new Map(), freeForgotten: async () => 0 },
    inbox: { trim: async () => 0 },
    sagas: { operations: { trim: async () => 0, openBesides: async () => [] } },
    branches: { operations: { trim: async () => 0, openBesides: async () => [] } },
    upkeep: {
      fence: nothing,
      raiseSequences: async () => [],
      moveScheduled: async () => ({ moved: 0, nextDueMs: undefined }),
      trim: async () => 0,
    },
    nodes: { join: nothing, heartbeat: async () => false, reap: async () => [], leave: nothing },
    wakeups: { listen: async () => true, stopListening: () => undefined, notify: () => undefined },
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
  const holdfast = new Holdfast(options, { logger: silentLogger }).on(Placed, () => undefined, { name: 'orders.book' });
  await holdfast.start();
  await holdfast.stop();
  return seen;
}

it('a transport knows that a subscription is paused before it hands over its first message', async () => {
  expect(await subscribedWith(['orders.book'])).toEqual([true]);
  expect(await subscribedWith([])).toEqual([false]);
});
