import { timestampIn, timestampOf } from './timestamp.js';

/** Around the ends of seconds, years, and the epoch; then some of every kind. */
const MS = [0, 1, 999, 1000, 1001, -1, -999, -1000, -1001, 1_799_999_999_999, 1_800_000_000_000, 951_782_399_999, 951_782_400_000];
const MANY = Array.from({ length: 2000 }, (_, index) => Math.floor(Math.sin(index) * 4e12) + index);

describe('timestampOf', () => {
  it.each([...MS, 253_402_300_799_999, 253_402_300_800_000, -62_167_219_200_001])('writes %s as toISOString does', (ms) => {
    for (const each of [ms, ms, ms + 1, ms - 1]) expect(timestampOf(new Date(each))).toBe(new Date(each).toISOString());
  });

  it('writes any other time so too, whatever came before it', () => {
    for (const ms of MANY) expect(timestampOf(new Date(ms))).toBe(new Date(ms).toISOString());
  });

  it('refuses a date that is none', () => {
    expect(() => timestampOf(new Date(Number.NaN))).toThrow(RangeError);
  });
});

describe('timestampIn', () => {
  it('knows the end of a day, of which there is no later moment', () => {
    expect(timestampIn('2026-11-28T24:00:00.000Z')?.toISOString()).toBe('2026-11-29T00:00:00.000Z');
    expect(timestampIn('2026-11-28T24:00:00.001Z')).toBeUndefined();
  });

  it('reads what timestampOf wrote, whatever came before it', () => {
    for (const ms of [...MS, ...MANY])
      for (const each of [ms, ms + 1]) expect(timestampIn(new Date(each).toISOString())?.getTime()).toBe(each);
  });

  it.each([
    ['2026-11-28T22:56:40Z', '2026-11-28T22:56:40.000Z'],
    ['2026-11-28T22:56:40.5Z', '2026-11-28T22:56:40.500Z'],
    ['2026-11-28T22:56:40.123456Z', '2026-11-28T22:56:40.123Z'],
    ['2026-11-28t22:56:40.007z', '2026-11-28T22:56:40.007Z'],
    ['2026-11-28T22:56:40.007+02:00', '2026-11-28T20:56:40.007Z'],
    ['2026-11-28T22:56:40-02:00', '2026-11-29T00:56:40.000Z'],
  ])('reads %s', (text, expected) => {
    timestampIn('2026-11-28T22:56:40.001Z');
    for (let time = 0; time < 2; time += 1) expect(timestampIn(text)?.toISOString()).toBe(expected);
  });

  it.each([
    '',
    '1',
    'May',
    '2026-11-28',
    '2026-11-28T22:56:40.',
    '2026-11-28T22:56:40.0x1Z',
    '2026-11-28T22:56:40. 12Z',
    '2026-13-28T22:56:40.001Z',
  ])('says nothing of %p', (text) => {
    timestampIn('2026-11-28T22:56:40.001Z');
    for (let time = 0; time < 2; time += 1) expect(timestampIn(text)).toBeUndefined();
  });
});
