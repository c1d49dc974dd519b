import { time } from './options.js';

describe('a time that is given to a command', () => {
  it.each([
    ['2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z'],
    ['2026-01-31T08:00Z', '2026-01-31T08:00:00.000Z'],
    ['2026-01-31T08:00:00Z', '2026-01-31T08:00:00.000Z'],
    ['2026-01-31T08:00:00.5+01:30', '2026-01-31T06:30:00.500Z'],
  ])('is a day, or says its zone: %s', (text, meant) => {
    expect(time({ since: text }, 'since')?.toISOString()).toBe(meant);
  });

  it.each([
    '2026-02-30',
    '2026-02-30T08:00:00Z',
    '2026-02-32',
    '2026-13-01',
    '2026-01-31T08:00:00',
    '2026-01-31 08:00:00Z',
    '2026-01-31T25:00Z',
    '2026-01-31T08:00:00Z or so',
    '2026-01-31\n',
    '2026-01',
    'yesterday',
    '',
  ])('is refused where it could be meant otherwise, or does not exist: %j', (text) => {
    expect(() => time({ until: text }, 'until')).toThrow(`--until is ${JSON.stringify(text)}, which is no time. Write it as 2026-01-31,`);
  });
});
