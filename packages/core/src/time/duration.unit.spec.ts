import fc from 'fast-check';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { type Duration, duration, toMs } from './duration.js';

function errorOf(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    if (isHoldfastError(error, 'HF_CONFIG_DURATION')) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('toMs', () => {
  it.each<[Duration, number]>([
    [0, 0],
    [250, 250],
    ['0s', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['15m', 900_000],
    ['6h', 21_600_000],
    ['7d', 604_800_000],
    ['36525d', 3_155_760_000_000],
  ])('reads %p as %p ms', (value, ms) => {
    expect(toMs(value, 'timeout')).toBe(ms);
  });

  it('rounds a computed number of milliseconds up', () => {
    expect(toMs(100 * 1.5 ** 3, 'delay')).toBe(338);
  });

  it.each([
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    4_000_000_000_000,
    '36526d',
    '-5s',
    '+5s',
    '1.5h',
    '30 s',
    ' 30s',
    '30s\n',
    '30sec',
    '30S',
    '1e3ms',
    '0x10s',
    's',
    '30',
    '',
    `${'9'.repeat(400)}s`,
    null,
    undefined,
    true,
    [30],
    { ms: 1 },
    10n,
  ])('refuses %p, naming option and value', (value) => {
    const error = errorOf(() => toMs(value as Duration, 'timeout of billing.charge'));
    expect(error.message).toMatch(/^timeout of billing\.charge is not a length of time: /);
    expect(error).toMatchObject({ category: 'configuration', details: { option: 'timeout of billing.charge', value } });
  });

  it('gives a whole number of at least 0 or refuses, for any value', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string(), fc.double(), fc.stringMatching(/^-?\d{1,18}(ms|s|m|h|d)$/)), (value) => {
        try {
          const ms = toMs(value as Duration, 'delay');
          return Number.isSafeInteger(ms) && ms >= 0 && !Number.isNaN(new Date(Date.now() + ms).getTime());
        } catch (error) {
          return isHoldfastError(error, 'HF_CONFIG_DURATION');
        }
      }),
    );
  });
});

describe('duration', () => {
  it('gives back text that is a length of time', () => {
    expect(duration('30s')).toBe('30s');
  });

  it.each(['soon', '30', '', 30 as unknown as string])('refuses %p, naming it', (text) => {
    expect(errorOf(() => duration(text)).message).toContain(`duration() is not a length of time: ${text}`);
  });
});
