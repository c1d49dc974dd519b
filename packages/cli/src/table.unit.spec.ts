import { age, table } from './table.js';

describe('table', () => {
  it('aligns columns, marks what is missing, and cuts and escapes what is foreign', () => {
    expect(
      table(
        ['ID', 'TEXT'],
        [
          [1, 'a'],
          [23, undefined],
          ['', '\u001b[2J'],
        ],
      ),
    ).toBe('ID  TEXT\n1   a\n23  -\n    \\u001b[2J\n');
    expect(table(['X'], [['y'.repeat(500)]]).length).toBeLessThan(90);
  });
});

describe('age', () => {
  it('names the largest unit', () => {
    expect([undefined, 0, 999, 1000, 59_999, 60_000, 7_200_000, 172_800_000].map(age)).toEqual([
      undefined,
      '0ms',
      '999ms',
      '1s',
      '59s',
      '1m',
      '2h',
      '2d',
    ]);
  });
});
