// The order of a stop, on a store and a transport that write down what is asked of them.
import { Holdfast } from '../holdfast.js';
import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import { intakeOf, Placed } from './stopping-scene.spec.js';
import type { Store } from '../store/store.port.js';
import type { Sink, Transport, TransportCapabilities } from '../transport/transport.port.js';

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: true,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: false,
  renamedSubscriptions: true,
  replies: true,
};

/** A promise to be kept by hand. */
function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open = () => undefined as void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** A started bus with one message in a handler and one look into the store on its way; `stop` gives the transcript of stopping it. */
async function scene(handlerEnds: Promise<void>) {
  const transcript: string[] = [];
  const [began, fence] = [gate(), gate()];
  let work: Promise<unknown> = Promise.resolve();
  let late = async (): Promise<unknown> => undefined;

  const intake = intakeOf(transcript);
  const transport: Transport = {
    capabilities: CAPABILITIES,
    isBusy: false,
    health: { status: 'up', problem: undefined },
    start: async () => undefined,
    publish: async () => [],
    nudge: () => undefined,
    openReplies: async () => 'here',
    subscribe: async (_, sink: Sink) => {
      work = sink.handle(intake);
      late = () => sink.handle(intake);
    },
    drain: async () => {
      transcript.push('the intake is closed');
      transcript.push(`a late hand-over is ${await late()}`);
      await work;
      setImmediate(fence.open); // the last look into the store is slower than the handlers
    },
    close: async () => void transcript.push('the transport is closed'),
  };
  const store = {
    description: 'transcript',
    maxConcurrency: 5,
    transactions: { dataSources: ['default'] },
    schema: { status: async () => ({ found: 1, wanted: 1 }) },
    subscriptions: { register: async () => [{ name: 'orders.book', id: 1, isNew: true }] },
    cursors: { create: async () => undefined },
    log: { stranded: async () => [] },
    carrier: {
      settle: async () => 'log',
      announce: async () => undefined,
      advance: async () => ({ isSwitched: false, reading: [] }),
    },
    deliveries: { due: async () => new Map(), freeForgotten: async () => 0 },
    inbox: { trim: async () => 0 },
    sagas: { operations: { trim: async () => 0, openBesides: async () => [] } },
    branches: { operations: { trim: async () => 0, openBesides: async () => [] } },
    replies: { trim: async () => 0 },
    receipts: { trim: async () => 0 },
    upkeep: {
      fence: async () => {
        await fence.opened;
        transcript.push('the last look ends');
      },
      raiseSequences: async () => [],
      moveScheduled: async () => ({ moved: 0, lanes: [], nextDueMs: undefined }),
      trim: async () => 0,
    },
    nodes: {
      join: async () => undefined,
      heartbeat: async () => 0,
      reap: async () => [],
      leave: async () => void transcript.push('the row of the node is gone'),
    },
    wakeups: { listen: async () => true, stopListening: () => transcript.push('nobody is heard any more'), notify: () => undefined },
    open: async () => undefined,
    ready: async () => undefined,
    close: async () => void transcript.push('the store is let go'),
  } as unknown as Store;

  const holdfast = new Holdfast(
    {
      service: 'shop',
      transport: { transport: 'transcript', capabilities: CAPABILITIES, create: () => transport },
      store: { store: 'transcript', tokens: {}, create: () => store },
    },
    { logger: silentLogger },
  );
  const handler = async () => {
    began.open();
    await handlerEnds;
    transcript.push('the handler ends');
  };
  holdfast.on(Placed, handler, { name: 'orders.book' });
  await holdfast.start();
  await began.opened;
  const stop = async (timeoutMs: number) => {
    const unsubscribe = [
      subscribe('node:stopping', (facts) => transcript.push(`stopping is told: ${facts.timeoutMs} ms`)),
      subscribe('node:stopped', ({ returned }) => transcript.push(`stopped is told: ${returned} returned`)),
    ];
    await Promise.all([holdfast.drain({ timeout: timeoutMs }), holdfast.stop({ timeout: timeoutMs })]);
    for (const each of unsubscribe) each();
    return transcript;
  };
  return { stop, transcript };
}

describe('a stop', () => {
  it('is told first, finishes what is in hand, stops looking, leaves, and is told again', async () => {
    const handler = gate();
    const { stop, transcript } = await scene(handler.opened);
    const stopped = stop(5000);
    expect(transcript).toEqual(['stopping is told: 5000 ms', 'the intake is closed']);
    await new Promise(setImmediate);
    handler.open();
    expect(await stopped).toEqual([
      'stopping is told: 5000 ms',
      'the intake is closed',
      'a late hand-over is idle',
      'the handler ends',
      'the message is consumed',
      'the transport is closed',
      'the last look ends',
      'nobody is heard any more',
      'the row of the node is gone',
      'stopped is told: 0 returned',
      'the store is let go',
    ]);
  });

  it('gives back what does not end in time, and goes on in the same order', async () => {
    const { stop } = await scene(gate().opened);
    expect(await stop(20)).toEqual([
      'stopping is told: 20 ms',
      'the intake is closed',
      'a late hand-over is idle',
      'the message is given back',
      'the transport is closed',
      'the last look ends',
      'nobody is heard any more',
      'the row of the node is gone',
      'stopped is told: 1 returned',
      'the store is let go',
    ]);
  });
});
