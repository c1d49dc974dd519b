import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { seededRandom } from '../time/random.js';
import { decideRetry, retryPolicy } from './retry-policy.js';

const random = seededRandom(1);
const policy = (options: Parameters<typeof retryPolicy>[0]) => {
  const problems: string[] = [];
  return { policy: retryPolicy(options, (text) => problems.push(text), 'subscription "s"'), problems };
};
const decide = (options: Parameters<typeof retryPolicy>[0], error: unknown, attempt: number) =>
  decideRetry(policy(options).policy, { error, attempt }, random);

describe('the decision after a failure', () => {
  it('is another attempt until they are used up', () => {
    const kinds = [1, 2, 3].map((attempt) => decide(3, new Error('down'), attempt).kind);
    expect(kinds).toEqual(['retry', 'retry', 'dead']);
  });

  it('is a dead letter at once for false, for a NonRetryableError and for what is refused for good', () => {
    expect(decide(false, new Error('down'), 1).kind).toBe('dead');
    expect(decide(5, new NonRetryableError('card declined'), 1).kind).toBe('dead');
    expect(decide(5, hfError('HF_MESSAGE_INVALID', { type: 't', issues: 'x' } as never), 1).kind).toBe('dead');
  });

  it('listens to retryIf, but not against a NonRetryableError', () => {
    expect(decide({ attempts: 5, retryIf: () => false }, new Error('down'), 1).kind).toBe('dead');
    expect(decide({ attempts: 5, retryIf: () => true }, new NonRetryableError('no'), 1).kind).toBe('dead');
    expect(decide({ attempts: 5, retryIf: (error) => !(error instanceof RangeError) }, new RangeError('no'), 1).kind).toBe('dead');
  });

  it("goes by the error's kind when retryIf throws", () => {
    const retryIf = () => {
      throw new Error('my own bug');
    };
    expect(decide({ attempts: 5, retryIf }, new Error('down'), 1).kind).toBe('retry');
  });
});

describe('a promise that rejects, of a function that must answer at once,', () => {
  const rejecting = (): never => Promise.reject(new Error('my own bug')) as never;
  const unhandled = jest.fn();
  beforeEach(() => void process.on('unhandledRejection', unhandled));
  afterEach(async () => {
    await new Promise(setImmediate);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('is no word of retryIf', () => {
    const refused = hfError('HF_MESSAGE_INVALID', { type: 't', issues: 'x' } as never);
    expect(decide({ retryIf: rejecting }, new Error('down'), 1).kind).toBe('retry');
    expect(decide({ retryIf: rejecting }, refused, 1).kind).toBe('dead');
  });

  it('is no wait', () => {
    expect(() => decide({ backoff: rejecting }, new Error('down'), 1)).toThrow('subscription "s": backoff is not a length of time');
  });
});

describe('the wait before the next attempt', () => {
  const delays = (options: Parameters<typeof retryPolicy>[0]) =>
    [1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => policy(options).policy.delayMs(attempt, undefined, random));

  it('doubles from 200 ms to at most 30 s', () => {
    expect(delays({ backoff: { delay: '200ms', jitter: 'none' } })).toEqual([200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]);
    expect(delays({ backoff: { delay: '10s', jitter: 'none' } }).slice(0, 4)).toEqual([10_000, 20_000, 30_000, 30_000]);
  });

  it('is anything up to the full delay, or from half of it', () => {
    for (const [index, ms] of delays({ backoff: { delay: '1s', factor: 1 } }).entries())
      expect([index, ms >= 0 && ms <= 1000]).toEqual([index, true]);
    for (const [index, ms] of delays({ backoff: { delay: '1s', factor: 1, jitter: 'equal' } }).entries())
      expect([index, ms >= 500 && ms <= 1000]).toEqual([index, true]);
  });

  it('is what a function says', () => {
    expect(delays({ backoff: (attempt) => attempt * 500 }).slice(0, 3)).toEqual([500, 1000, 1500]);
  });
});

describe('bad retry options', () => {
  it('are told with the value and the fix', () => {
    expect(policy(0).problems).toEqual(['subscription "s": attempts is 0; it counts the first attempt, so use a whole number from 1']);
    expect(policy({ backoff: { delay: '1s', factor: 0.5 } }).problems).toEqual([
      'subscription "s": backoff.factor is 0.5; a delay may not shrink, so use at least 1',
    ]);
    expect(policy({ backoff: { delay: -5, maxDelay: 'soon' as never } }).problems).toEqual([
      expect.stringContaining('subscription "s": backoff.delay is not a length of time: -5'),
      expect.stringContaining('subscription "s": backoff.maxDelay is not a length of time: soon'),
    ]);
  });
});
