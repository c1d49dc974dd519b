import { hfError } from './catalogue.js';
import { classify } from './classify.js';
import { HoldfastError } from './holdfast-error.js';
import { NonRetryableError } from './non-retryable-error.js';

class HttpException extends Error {
  constructor(private readonly status: number) {
    super(`status ${status}`);
  }
  getStatus(): number {
    return this.status;
  }
}

describe('classify', () => {
  it.each([
    ['an error of Holdfast', hfError('HF_LEASE_LOST', { resource: 'lane 3' }), 'HF_LEASE_LOST', 'conflict', true],
    ['a contract error', hfError('HF_MESSAGE_INVALID', { type: 'a', issues: [] }), 'HF_MESSAGE_INVALID', 'contract', false],
    ['NonRetryableError', new NonRetryableError('declined'), 'NonRetryableError', 'permanent', false],
    ['any error', new TypeError('x is undefined'), 'TypeError', 'transient', true],
    ['an error with a code', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED', 'transient', true],
    ['an error with a number for a code', Object.assign(new Error('deadlock'), { code: 1213 }), '1213', 'transient', true],
    ['an error whose code is prose', Object.assign(new RangeError('x'), { code: 'not a code' }), 'RangeError', 'transient', true],
    ['HTTP 400', new HttpException(400), 'HttpException', 'permanent', false],
    ['HTTP 404', new HttpException(404), 'HttpException', 'permanent', false],
    ['HTTP 429, which passes', new HttpException(429), 'HttpException', 'transient', true],
    ['HTTP 503', new HttpException(503), 'HttpException', 'transient', true],
    ['a refusal by a guard', Object.assign(new Error('no'), { name: 'ForbiddenException' }), 'ForbiddenException', 'permanent', false],
    ['null', null, 'null', 'transient', true],
    ['undefined', undefined, 'undefined', 'transient', true],
    ['a text', 'boom', 'string', 'transient', true],
    ['an object without prototype', Object.create(null), 'object', 'transient', true],
  ])('%s', (_, error, code, category, retryable) => {
    expect(classify(error)).toEqual({ code, category, retryable });
  });

  it('takes the category of a code it does not know from the error', () => {
    const newer = new HoldfastError({ code: 'HF_FUTURE_FACT', category: 'permanent', message: 'from a newer copy' });
    expect(classify(newer)).toEqual({ code: 'HF_FUTURE_FACT', category: 'permanent', retryable: false });
  });

  it('recognises a NonRetryableError of another copy of the package', async () => {
    await jest.isolateModulesAsync(async () => {
      const copy = await import('./non-retryable-error.js');
      const error = new copy.NonRetryableError('no');
      expect(error).not.toBeInstanceOf(NonRetryableError);
      expect(classify(error).category).toBe('permanent');
    });
  });

  it('never throws on values that throw when they are looked at', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('no');
        },
        getPrototypeOf() {
          throw new Error('no');
        },
      },
    );
    const throwing = {
      getStatus() {
        throw new Error('no');
      },
    };
    for (const value of [proxy, hostile, throwing]) expect(classify(value).category).toBe('transient');
  });
});

describe('NonRetryableError', () => {
  it('carries message, cause and details', () => {
    const cause = new Error('402');
    const error = new NonRetryableError('card declined', { cause, details: { reason: 'limit' } });
    expect(error).toMatchObject({ name: 'NonRetryableError', message: 'card declined', cause, details: { reason: 'limit' } });
  });

  it('has no cause of its own unless given', () => {
    expect(Object.hasOwn(new NonRetryableError('no'), 'cause')).toBe(false);
  });
});
