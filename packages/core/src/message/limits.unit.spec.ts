import { DEFAULT_LIMITS, limitsFrom } from './limits.js';
import { assertStorable, headersFrom, headersToSend } from './storable.js';

describe('limitsFrom', () => {
  it('fills in the defaults', () => {
    expect(limitsFrom()).toEqual({ bodyBytes: 1_048_576, headers: 64, headerBytes: 32_768, depth: 64, idLength: 255 });
    expect(limitsFrom({ depth: 3, headers: undefined })).toEqual({ ...DEFAULT_LIMITS, depth: 3 });
  });

  it('names everything that is wrong', () => {
    const wrong = { bodyBytes: 0, headers: 1.5, headerBytes: Number.NaN, depth: 513, idLength: '9' as unknown as number };
    expect(() => limitsFrom(wrong)).toThrow(expect.objectContaining({ code: 'HF_CONFIG_INVALID' }));
    for (const name of Object.keys(wrong)) expect(() => limitsFrom(wrong)).toThrow(`limits.${name} must be a whole number from 1 to `);
  });
});

describe('assertStorable', () => {
  it.each(['m-1', 'ü🙂', ' ', 'x'.repeat(255)])('takes %p', (value) => {
    expect(() => assertStorable(value, 'The message id', 255)).not.toThrow();
  });

  it.each([
    [undefined, 'it is missing'],
    [7, 'it is no text but of type number: 7'],
    ['', 'it is empty'],
    ['x'.repeat(256), `it has 256 characters, the limit is 255: ${'x'.repeat(59)}…`],
    ['a\0', 'it has a NUL or half of a surrogate pair in it: a\\u0000'],
    ['\udc00', 'it has a NUL or half of a surrogate pair in it: \\udc00'],
  ])('refuses %p: %s', (value, reason) => {
    expect(() => assertStorable(value, 'The message id', 255)).toThrow(`The message id cannot be used: ${reason}`);
  });
});

describe('headersFrom', () => {
  it('copies, so that later changes change nothing', () => {
    const given = { tenant: 'acme' };
    const headers = headersFrom(given, DEFAULT_LIMITS);
    given.tenant = 'other';
    expect(headers.tenant).toBe('acme');
    expect(Object.getPrototypeOf(headers)).toBeNull();
  });

  it('counts names and values, in bytes of UTF-8', () => {
    const limits = limitsFrom({ headerBytes: 4 });
    expect(() => headersFrom({ a: 'xyz' }, limits)).not.toThrow();
    expect(() => headersFrom({ a: 'üü' }, limits)).toThrow('they have more than 4 bytes');
    expect(() => headersFrom({ üü: 'x' }, limits)).toThrow('they have more than 4 bytes');
    expect(() => headersFrom({ a: 'x', b: 'xy' }, limits)).toThrow('they have more than 4 bytes');
  });
});

describe('headersToSend', () => {
  it('refuses a name that RabbitMQ could not carry, which may have come from elsewhere', () => {
    const [fits, long] = [{ ['ü'.repeat(120)]: 'x' }, { ['ü'.repeat(121)]: 'x' }];
    expect({ ...headersToSend(fits, DEFAULT_LIMITS) }).toEqual(fits);
    expect(() => headersToSend(long, DEFAULT_LIMITS)).toThrow(`"${'ü'.repeat(100)}": its name has 242 bytes, the limit is 240.`);
    expect({ ...headersFrom(long, DEFAULT_LIMITS) }).toEqual(long);
  });
});
