import { textOf } from '@holdfast-internal/test-support';
import { type Intake, type Sink, silentLogger, systemRandom, type TransportContext, VirtualTime } from '@holdfast/core';
import type { ReceivedMessage, RocketmqClient, RocketmqConsumer } from './client.port.js';
import { Consumer } from './consumer.js';
import { Names } from './names.js';
import type { Publisher } from './publisher.js';
import { settingsFrom } from './settings.js';

const SETTINGS = settingsFrom({ endpoint: 'a:1' });
const HANDLE_OVER = 40_013;
/** Between two looks of the broker for somebody who waits for a message. */
const LOOK_MS = 250;

/** How long something takes on the way. */
interface Delays {
  readonly thereMs: number;
  readonly backMs: number;
}

interface Stored {
  readonly text: string;
  /** To be received from then on. */
  visibleMs: number;
  /** Who has this one may settle it. */
  handle: number;
  attempt: number;
  isDone: boolean;
}

/** A queue whose requests and answers take their time. What is received is away for a while, and can be settled by the last handle of it alone. */
class SlowBroker {
  readonly stored: Stored[] = [];
  keeps = 0;
  private readonly handles = new WeakMap<ReceivedMessage, { readonly of: Stored; handle: number }>();

  constructor(
    private readonly time: VirtualTime,
    private readonly delays: Delays,
    private readonly isOrdered: boolean,
  ) {}

  put(text: string): void {
    this.stored.push({ text, visibleMs: 0, handle: 0, attempt: 0, isDone: false });
  }

  /** The first one is somebody else's, who does not settle it. */
  steal(): void {
    const [first] = this.stored;
    if (first !== undefined) this.handOut(first);
  }

  get client(): RocketmqClient {
    let lose: (reason: unknown) => void = () => undefined;
    const lost = new Promise<unknown>((resolve) => {
      lose = resolve;
    });
    const consumer: RocketmqConsumer = {
      lost,
      end: async () => lose('ended'),
      isOrdered: this.isOrdered,
      receive: (limit) => this.onTheWay(() => this.receive(limit)),
      ack: (message) => this.onTheWay(async () => this.settle(message, 'done')),
      keep: (message, ms) => this.onTheWay(async () => this.settle(message, ms)),
    };
    return { openConsumer: async () => consumer, openProducer: () => Promise.reject(new Error('none')) };
  }

  private async onTheWay<T>(work: () => Promise<T>): Promise<T> {
    await this.time.sleep(this.delays.thereMs);
    try {
      return await work();
    } finally {
      await this.time.sleep(this.delays.backMs);
    }
  }

  private async receive(limit: number): Promise<readonly ReceivedMessage[]> {
    for (const endMs = this.time.monotonicMs() + SETTINGS.awaitMs; this.time.monotonicMs() < endMs; await this.time.sleep(LOOK_MS)) {
      const found = this.free().slice(0, limit);
      if (found.length > 0) return found.map((each) => this.handOut(each));
    }
    return [];
  }

  /** Where an order is kept, nothing is while something is away. */
  private free(): readonly Stored[] {
    const left = this.stored.filter(({ isDone }) => !isDone);
    const free = left.filter(({ visibleMs }) => visibleMs <= this.time.monotonicMs());
    return this.isOrdered && free.length < left.length ? [] : free;
  }

  private handOut(stored: Stored): ReceivedMessage {
    stored.attempt += 1;
    stored.handle += 1;
    stored.visibleMs = this.time.monotonicMs() + SETTINGS.invisibleMs;
    const { text, attempt, handle } = stored;
    const body = Buffer.from(text);
    const message = { topic: 't', id: text, group: 'g', body, properties: new Map<string, string>(), attempt, at: new Date(0) };
    this.handles.set(message, { of: stored, handle });
    return message;
  }

  private settle(message: ReceivedMessage, how: 'done' | number): void {
    const mine = this.handles.get(message);
    if (mine === undefined || mine.handle !== mine.of.handle || mine.of.visibleMs <= this.time.monotonicMs())
      throw Object.assign(new Error('over'), { code: HANDLE_OVER });
    if (how === 'done') mine.of.isDone = true;
    else {
      this.keeps += 1;
      mine.of.handle += 1;
      mine.handle = mine.of.handle;
      mine.of.visibleMs = this.time.monotonicMs() + how;
    }
  }
}

interface Course extends Delays {
  readonly isOrdered: boolean;
  readonly handlerMs: number;
  readonly count: number;
  /** Somebody else has the first message for a while when its handler has begun. */
  readonly isFirstStolen?: boolean;
}

/** Messages of a course. */
const COUNT = 3;

/** What becomes of messages that are handled without a store, one after another. */
async function courseOf({ isOrdered, handlerMs, count, isFirstStolen = false, ...delays }: Course) {
  const time = new VirtualTime();
  const broker = new SlowBroker(time, delays, isOrdered);
  const handled: string[] = [];
  const sink: Sink = {
    isPaused: false,
    onPause: () => () => undefined,
    handle: async (intake: Intake) => {
      const lease = await intake.lease(1, 1000);
      const [message] = lease?.messages ?? [];
      if (lease === undefined || message === undefined) return 'idle';
      handled.push(textOf(message));
      await time.sleep(handlerMs);
      try {
        await lease.finish(undefined);
        await intake.settle(lease.messages, 'ack');
        return 'worked';
      } catch {
        await intake.settle(lease.messages, 'requeue');
        return 'blocked';
      }
    },
  };
  const context = { clock: time, scheduler: time, random: systemRandom, logger: silentLogger } as Partial<TransportContext>;
  const consumer = new Consumer({
    context: context as TransportContext,
    settings: SETTINGS,
    logger: silentLogger,
    client: broker.client,
    names: new Names(SETTINGS, 'shop'),
    publisher: {} as Publisher,
    spec: {
      name: 'reader',
      types: ['scene.happened'],
      from: 'now',
      ordering: isOrdered ? 'key' : 'none',
      concurrency: 1,
      batchSize: 1,
      id: 1,
    },
    sink,
  });
  const started = consumer.start({ timeoutMs: 1000, isFinal: () => true });
  await time.advance(0);
  await started;
  // They come when the wait for some is almost over.
  await time.advance(SETTINGS.awaitMs - LOOK_MS);
  for (let n = 0; n < count; n += 1) broker.put(`${n}`);
  if (isFirstStolen) {
    await time.advance('5s');
    broker.steal();
  }
  await time.advance(count * (handlerMs + 30_000));
  const { stored, keeps } = broker;
  await consumer.stop();
  return { handled, received: stored.map(({ attempt }) => attempt), isDone: stored.every(({ isDone }) => isDone), keeps };
}

describe('a slow broker', () => {
  const ways: readonly (readonly [string, (ms: number) => Delays])[] = [
    ['on the way there', (ms) => ({ thereMs: ms, backMs: 0 })],
    ['on the way back', (ms) => ({ thereMs: 0, backMs: ms })],
  ];
  const slow = ways.flatMap(([way, delaysOf]) =>
    [1000, 3000, 6000].flatMap((ms) => [0, 5000, 20_000].map((handlerMs) => ({ way, ms, handlerMs, ...delaysOf(ms) }))),
  );

  it.each(slow)('is asked to keep what is in hand in time: $ms ms $way, a handler of $handlerMs ms', async ({ ms, way, ...delays }) => {
    for (const isOrdered of [false, true]) {
      const { handled, received, isDone, keeps } = await courseOf({ ...delays, isOrdered, count: COUNT });
      expect({ handled, received, isDone }).toEqual({ handled: ['0', '1', '2'], received: [1, 1, 1], isDone: true });
      // No more than one in the third of their time after which they are kept, and one for coming late.
      const inHandMs = COUNT * delays.handlerMs + 2 * ms;
      expect(keeps).toBeLessThanOrEqual(COUNT * (1 + inHandMs / (SETTINGS.invisibleMs / 3)));
    }
  });

  it.each(ways)('gives nothing again and again when it takes almost as long as a request may, %s', async (_, delaysOf) => {
    for (const isOrdered of [false, true])
      for (const handlerMs of [0, 5000, 20_000]) {
        const { handled, received, isDone } = await courseOf({ ...delaysOf(9000), handlerMs, isOrdered, count: COUNT });
        expect({ isDone, handled: new Set(handled) }).toEqual({ isDone: true, handled: new Set(['0', '1', '2']) });
        // In an order, what is behind one that is done too late comes again.
        for (const [place, times] of received.entries()) expect(times).toBeLessThanOrEqual(isOrdered ? 1 + place : 1);
        // What ends while nobody knows whether it is ours is handled once more.
        expect(handled.length).toBeLessThanOrEqual(isOrdered ? 2 * COUNT - 1 : COUNT + 1);
      }
  });

  it('that gives the first message of a group to somebody else keeps us from those behind it, until it comes again', async () => {
    const course = await courseOf({ thereMs: 0, backMs: 3000, handlerMs: 20_000, isOrdered: true, count: COUNT, isFirstStolen: true });
    expect(course.handled).toEqual(['0', '0', '1', '2']);
    expect(course.isDone).toBe(true);
  });
});
