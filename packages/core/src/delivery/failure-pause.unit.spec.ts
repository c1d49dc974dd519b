import { subscribe } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import { FailurePause } from './failure-pause.js';
import { type FailurePauseOptions, failurePausePolicy } from './failure-pause-options.js';

const OPTIONS = { messages: 4, share: 0.5, delay: 1000, maxDelay: 5000 } as const;
const DOWN = new Error('the gateway is down');

/** Channels are the process's: another file's tests must not find listeners of these. */
const listening: (() => void)[] = [];
afterEach(() => {
  for (const stop of listening.splice(0)) stop();
});

function scene(options: false | FailurePauseOptions = OPTIONS, random = { ...seededRandom(1), next: () => 1 }) {
  const time = new VirtualTime();
  const told: unknown[] = [];
  const logged: string[] = [];
  const logger = {
    warn: (text: string, fields: object) => logged.push(`${text} ${JSON.stringify(fields)}`),
    info: (text: string) => logged.push(text),
  } as unknown as Logger;
  const unsubscribe = [
    subscribe('subscription:paused', (facts) => told.push(facts)),
    subscribe('subscription:resumed', (facts) => told.push(facts)),
  ];
  listening.push(...unsubscribe);
  const policy = failurePausePolicy(options, (text) => logged.push(text));
  const pause = new FailurePause('billing.charge', policy, { clock: time, random, logger });
  const end = () => unsubscribe.forEach((each) => void each());
  const fail = (...messages: readonly string[]) => messages.forEach((message) => void pause.failed(message, DOWN));
  const succeed = (...messages: readonly string[]) => messages.forEach((message) => void pause.succeeded(message));
  /** A probe that ends in this way. */
  const probe = (how?: 'failed' | 'succeeded') => {
    const turn = pause.turn();
    if (how === 'failed') pause.failed('probe', DOWN);
    if (how === 'succeeded') pause.succeeded('probe');
    pause.probeEnded();
    return turn;
  };
  return { pause, time, told, logged, end, fail, succeed, probe };
}

describe('a subscription', () => {
  it('pauses when more than the share of its latest messages failed, and says so', () => {
    const { pause, told, logged, end, fail, succeed } = scene();
    succeed('1', '2');
    fail('3', '4');
    expect(pause.turn()).toBe('all');
    fail('5');
    end();
    expect(pause.turn()).toBe('none');
    expect(told).toEqual([{ subscription: 'billing.charge', reason: 'failures', forMs: 1000 }]);
    expect(logged).toEqual([
      'most deliveries fail; the subscription pauses {"subscription":"billing.charge","failed":3,"of":4,"forMs":1000,"code":"Error","reason":"the gateway is down"}',
    ]);
  });

  it('does not pause before there were as many messages as are looked at', () => {
    const { pause, fail } = scene();
    fail('1', '2', '3');
    expect(pause.turn()).toBe('all');
    fail('4');
    expect(pause.turn()).toBe('none');
  });

  it('does not pause because of a few messages that fail again and again', () => {
    const { pause, fail, succeed } = scene();
    succeed('1', '2', '3', '4');
    for (let i = 0; i < 100; i += 1) fail('bad', 'worse');
    expect(pause.turn()).toBe('all');
    succeed('5', '6', '7');
    for (let i = 0; i < 100; i += 1) fail('bad');
    expect(pause.turn()).toBe('all');
  });

  it('counts a message that succeeded in the end as one that succeeded', () => {
    const { pause, fail, succeed } = scene();
    fail('1', '2', '3');
    succeed('1', '2', '3');
    fail('4', '5');
    expect(pause.turn()).toBe('all');
  });

  it('never pauses by itself where that is switched off', () => {
    const { pause, fail } = scene(false);
    for (let i = 0; i < 1000; i += 1) fail(`${i}`);
    expect(pause.turn()).toBe('all');
  });
});

describe('a paused subscription', () => {
  it('lets one message go when its time is over, and nothing else meanwhile', async () => {
    const { pause, time, fail } = scene();
    fail('1', '2', '3', '4');
    await time.advance(999);
    expect(pause.turn()).toBe('none');
    await time.advance(1);
    expect([pause.turn(), pause.turn(), pause.turn()]).toEqual(['probe', 'none', 'none']);
  });

  it('goes on when the probe succeeds, and says so', async () => {
    const { pause, time, told, logged, end, fail, probe } = scene();
    fail('1', '2', '3', '4');
    await time.advance(1000);
    expect(probe('succeeded')).toBe('probe');
    end();
    expect([pause.turn(), pause.turn()]).toEqual(['all', 'all']);
    expect(told.at(-1)).toEqual({ subscription: 'billing.charge' });
    expect(logged.at(-1)).toBe('a delivery succeeded; the subscription goes on after its pause');
  });

  it('pauses twice as long after each probe that fails, up to the bound, and shortly again after a success', async () => {
    const { time, told, end, fail, probe } = scene();
    fail('1', '2', '3', '4');
    for (const ms of [1000, 2000, 4000, 5000]) {
      await time.advance(ms - 1);
      expect(probe()).toBe('none');
      await time.advance(1);
      expect(probe('failed')).toBe('probe');
    }
    await time.advance(5000);
    probe('succeeded');
    fail('1', '2', '3', '4');
    end();
    const pauses = told.flatMap((facts) => (facts as { forMs?: number }).forMs ?? []);
    expect(pauses).toEqual([1000, 2000, 4000, 5000, 5000, 1000]);
  });

  it('spreads the end of its pause, so that processes do not probe in step', () => {
    const lengths = [0, 0.5, 0.999].map((next) => {
      const { told, end, fail } = scene(OPTIONS, { ...seededRandom(1), next: () => next });
      fail('1', '2', '3', '4');
      end();
      return (told[0] as { forMs: number }).forMs;
    });
    expect(lengths).toEqual([500, 750, 1000]);
  });

  it('tries another message when the probe came to neither', async () => {
    const { time, fail, probe } = scene();
    fail('1', '2', '3', '4');
    await time.advance(1000);
    expect([probe(), probe(), probe('failed'), probe()]).toEqual(['probe', 'probe', 'probe', 'none']);
  });

  it('learns nothing from deliveries that began before it paused', async () => {
    const { pause, time, told, end, fail, succeed } = scene();
    fail('1', '2', '3', '4', '5', '6');
    succeed('7');
    end();
    expect(told).toHaveLength(1);
    expect(pause.turn()).toBe('none');
    await time.advance(1000);
    expect(pause.turn()).toBe('probe');
  });

  it('looks at messages anew when it goes on', async () => {
    const { pause, time, fail, probe } = scene();
    fail('1', '2', '3', '4');
    await time.advance(1000);
    probe('succeeded');
    fail('1', '2');
    expect(pause.turn()).toBe('all');
    fail('3');
    expect(pause.turn()).toBe('none');
  });
});

describe('options of a failure pause', () => {
  const problemsOf = (options: unknown) => {
    const problems: string[] = [];
    failurePausePolicy(options as FailurePauseOptions, (text) => problems.push(text));
    return problems;
  };

  it('have defaults', () => {
    expect(failurePausePolicy(undefined, () => undefined)).toEqual({ messages: 20, share: 0.5, delayMs: 1000, maxDelayMs: 60_000 });
  });

  it.each([
    [{ messages: 0 }, 'failurePause.messages is 0; use a whole number from 1'],
    [{ messages: 2.5 }, 'failurePause.messages is 2.5; use a whole number from 1'],
    [{ share: 1 }, 'failurePause.share is 1; use a number from 0 to less than 1, such as 0.5'],
    [{ share: Number.NaN }, 'failurePause.share is NaN; use a number from 0 to less than 1, such as 0.5'],
    [true, 'failurePause is true; use false, or an object such as { messages: 20, share: 0.5 }'],
    [null, 'failurePause is null; use false, or an object such as { messages: 20, share: 0.5 }'],
  ])('%j is refused', (options, expected) => {
    expect(problemsOf(options)).toEqual([expected]);
  });

  it('name a duration that is none', () => {
    expect(problemsOf({ delay: '1 second', maxDelay: -1 })).toEqual([
      expect.stringContaining('failurePause.delay'),
      expect.stringContaining('failurePause.maxDelay'),
    ]);
  });
});
