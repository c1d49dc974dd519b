import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { systemRandom } from '../time/random.js';
import { FailurePause } from './failure-pause.js';
import type { Intake } from './intake.port.js';
import { Permits } from './permits.js';
import { BoundedSink } from './bounded-sink.js';
import { NEVER_PAUSING, subscriptionOf } from './handling-scene.spec.js';

const INTAKE = {} as Intake;

describe('a hand-over that waits for its turn', () => {
  it('takes nothing any more when the process was told to stop meanwhile', async () => {
    const taken: string[] = [];
    let end = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      end = resolve;
    });
    const work = {
      handle: async () => {
        taken.push('taken');
        await opened;
        return 'worked' as const;
      },
    };
    const unexpected = (error: unknown) => taken.push(String(error));
    const sink = new BoundedSink(
      subscriptionOf(() => undefined, {}),
      work,
      { permits: new Permits(1), failures: NEVER_PAUSING, scheduler: new VirtualTime(), unexpected },
    );
    const outcomes = Promise.all([sink.handle(INTAKE), sink.handle(INTAKE)]);
    sink.isStopping = true;
    end();
    expect(await outcomes).toEqual(['worked', 'idle']);
    expect(taken).toEqual(['taken']);
  });
});

describe('a subscription that an operator pauses', () => {
  it('takes nothing, and tells its source of every change, once', async () => {
    const time = new VirtualTime();
    let taken = 0;
    const work = {
      handle: async () => {
        taken += 1;
        return 'worked' as const;
      },
    };
    const parts = { permits: new Permits(1), failures: NEVER_PAUSING, scheduler: time, unexpected: () => undefined };
    const sink = new BoundedSink(
      subscriptionOf(() => undefined, {}),
      work,
      parts,
    );
    const changes: boolean[] = [];
    const end = sink.onPause(() => changes.push(sink.isPaused));
    for (const isPaused of [false, true, true]) sink.isPaused = isPaused;
    const outcome = sink.handle(INTAKE);
    await time.advance(1000);
    expect([await outcome, taken]).toEqual(['blocked', 0]);
    for (const isPaused of [false, false]) sink.isPaused = isPaused;
    expect([await sink.handle(INTAKE), taken]).toEqual(['worked', 1]);
    end();
    sink.isPaused = true;
    expect(changes).toEqual([true, false]);
  });
});

describe('a subscription that paused because most of its deliveries failed', () => {
  function scene() {
    const time = new VirtualTime();
    const policy = { messages: 2, share: 0.5, delayMs: 1000, maxDelayMs: 1000 };
    const failures = new FailurePause('orders.book', policy, {
      clock: time,
      random: { ...systemRandom, next: () => 1 },
      logger: silentLogger,
    });
    const taken: (number | undefined)[] = [];
    let outcome: () => void = () => undefined;
    let end = (): void => undefined;
    const handling = {
      handle: async (_intake: Intake, limit?: number) => {
        taken.push(limit);
        await new Promise<void>((resolve) => {
          end = resolve;
        });
        outcome();
        return 'worked' as const;
      },
    };
    const unexpected = (error: unknown) => taken.push(Number(error));
    const sink = new BoundedSink(
      subscriptionOf(() => undefined, {}),
      handling,
      { permits: new Permits(10), failures, scheduler: time, unexpected },
    );
    for (const message of ['1', '2']) failures.failed(message, new Error('down'));
    const ends = async (how: 'failed' | 'succeeded') => {
      outcome = () => failures[how]('probe', new Error('down'));
      end();
      await time.advance(0);
    };
    return { time, sink, taken, ends };
  }

  it('takes nothing, then one message, and the others only when that one succeeded', async () => {
    const { time, sink, taken, ends } = scene();
    const outcomes: string[] = [];
    const hand = () => void sink.handle(INTAKE).then((outcome) => outcomes.push(outcome));
    hand();
    await time.advance(999);
    expect({ taken, outcomes }).toEqual({ taken: [], outcomes: ['blocked'] });
    await time.advance(1);
    for (let i = 0; i < 3; i += 1) hand();
    await time.advance(500);
    expect({ taken, outcomes }).toEqual({ taken: [1], outcomes: ['blocked', 'blocked', 'blocked'] });
    await ends('succeeded');
    for (let i = 0; i < 3; i += 1) hand();
    await time.advance(0);
    expect(taken).toEqual([1, undefined, undefined, undefined]);
  });

  it('takes nothing more when that one failed', async () => {
    const { time, sink, taken, ends } = scene();
    await time.advance(1000);
    void sink.handle(INTAKE);
    await time.advance(0);
    await ends('failed');
    expect(taken).toEqual([1]);
    void sink.handle(INTAKE);
    await time.advance(999);
    expect(taken).toEqual([1]);
  });
});
