import fc from 'fast-check';
import { type IdRange, MAX_HOLES, type Position, readOn, without } from './position.js';

const at = (upTo: number, ...holes: [number, number][]): Position => ({
  upTo: BigInt(upTo),
  holes: holes.map(([from, to]) => ({ from: BigInt(from), to: BigInt(to) })),
});
const ids = (...values: number[]) => values.map(BigInt);
const idsIn = (ranges: readonly IdRange[]) =>
  ranges.flatMap(({ from, to }) => Array.from({ length: Number(to - from) + 1 }, (_, i) => Number(from) + i));

describe('a position', () => {
  it('moves to the highest id when nothing is missing', () => {
    expect(readOn(at(3), ids(4, 5, 6), [])).toEqual({ position: at(6), count: 3 });
  });

  it('remembers skipped ids as holes', () => {
    expect(readOn(at(3), ids(5, 8), [])).toEqual({ position: at(8, [4, 4], [6, 7]), count: 2 });
  });

  it('forgets a hole that turned up, also in the middle of a range', () => {
    expect(readOn(at(9, [3, 5]), ids(4, 10), [])).toEqual({ position: at(10, [3, 3], [5, 5]), count: 2 });
  });

  it('takes no dead id for a hole', () => {
    expect(readOn(at(3), ids(8), [{ from: 5n, to: 6n }])).toEqual({ position: at(8, [4, 4], [7, 7]), count: 1 });
  });

  it('stops at the next gap when it has too many holes', () => {
    const many = Array.from({ length: MAX_HOLES }, (_, i): [number, number] => [i * 2 + 1, i * 2 + 1]);
    const full = at(MAX_HOLES * 2, ...many);
    const top = MAX_HOLES * 2;
    expect(readOn(full, ids(1, top + 1, top + 3), [])).toEqual({
      position: at(top + 3, ...many.slice(1), [top + 2, top + 2]),
      count: 3,
    });
    expect(readOn(full, ids(top + 1, top + 3), [])).toEqual({ position: at(top + 1, ...many), count: 1 });
  });

  it('delivers every id once and keeps exactly the missing ones, in whatever order they commit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        (commits, limit) => {
          const visible = new Set<number>();
          const delivered: number[] = [];
          let position = at(0);
          for (const id of commits) {
            visible.add(id);
            const holes = new Set(idsIn(position.holes));
            const seen = [...visible]
              .filter((v) => holes.has(v) || BigInt(v) > position.upTo)
              .sort((a, b) => a - b)
              .slice(0, limit);
            const step = readOn(position, ids(...seen), []);
            delivered.push(...seen.slice(0, step.count));
            position = step.position;
          }
          expect(new Set(delivered).size).toBe(delivered.length);
          const missing = Array.from({ length: Number(position.upTo) }, (_, i) => i + 1).filter((id) => !delivered.includes(id));
          expect(idsIn(position.holes)).toEqual(missing);
        },
      ),
    );
  });
});

describe('the difference of two sets of ids', () => {
  it('is what set difference says', () => {
    const range = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 25 });
    fc.assert(
      fc.property(range, range, (left, right) => {
        const toRanges = (values: number[]) => [...new Set(values)].sort((a, b) => a - b).map((v) => ({ from: BigInt(v), to: BigInt(v) }));
        expect(idsIn(without(toRanges(left), toRanges(right)))).toEqual(
          [...new Set(left)].filter((v) => !right.includes(v)).sort((a, b) => a - b),
        );
      }),
    );
  });
});
