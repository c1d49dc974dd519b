import { type IdRange, MAX_HOLES, type Position, readOn, without } from '@holdfast/core';
import fc from 'fast-check';

/** When an id becomes visible: the number of a snapshot, or never (its transaction is rolled back). */
type Fate = number | 'never';

const START: Position = { upTo: 0n, holes: [] };

/** A log whose ids have fates, and one reader of it that keeps nothing but its position. */
class Model {
  position = START;
  readonly seen: number[] = [];
  dead: readonly IdRange[] = [];

  constructor(private readonly fates: readonly Fate[]) {}

  /** What one statement shows, as the stores read: holes that turned up first, and what is above them only when all of those fit. */
  read(snapshot: number, limit: number): number {
    const isVisible = (id: number) => typeof this.fates[id - 1] === 'number' && (this.fates[id - 1] as number) <= snapshot;
    const all = Array.from({ length: this.fates.length }, (_, index) => index + 1).filter(isVisible);
    const holes = this.holes();
    const turnedUp = all.filter((id) => holes.has(id)).slice(0, limit);
    const above = all.filter((id) => id > Number(this.position.upTo)).slice(0, limit);
    const rows = turnedUp.length >= limit ? turnedUp : [...turnedUp, ...above].slice(0, limit);
    const { position, count } = readOn(this.position, rows.map(BigInt), this.dead);
    this.position = position;
    this.seen.push(...rows.slice(0, count));
    return count;
  }

  /** Reads until there is nothing more, with verdicts as they are needed. */
  drain(snapshot: number, limit: number): void {
    for (let round = 0; round < 100 && this.read(snapshot, limit) > 0; round += 1) this.fence();
  }

  /** A verdict on every id that will never come and is known to be missing. */
  fence(): void {
    const holes = this.holes();
    const never = this.fates.flatMap((fate, index) => (fate === 'never' ? [{ from: BigInt(index + 1), to: BigInt(index + 1) }] : []));
    this.dead = never.filter(({ from }) => from <= this.position.upTo || holes.has(Number(from)));
    this.position = { ...this.position, holes: without(this.position.holes, this.dead) };
  }

  private holes(): Set<number> {
    return new Set(
      this.position.holes.flatMap(({ from, to }) => Array.from({ length: Number(to - from) + 1 }, (_, index) => Number(from) + index)),
    );
  }
}

const fate = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 8 }) }, { weight: 1, arbitrary: fc.constant<'never'>('never') });

describe('a position that reads a log with holes', () => {
  it('hands over each committed id once, whatever is read when, with verdicts in between', () => {
    fc.assert(
      fc.property(
        fc.array(fate, { maxLength: 60 }),
        fc.array(fc.record({ limit: fc.integer({ min: 1, max: 20 }), fences: fc.boolean() }), { minLength: 8, maxLength: 8 }),
        (fates, rounds) => {
          const model = new Model(fates);
          for (const [snapshot, { limit, fences }] of rounds.entries()) {
            model.read(snapshot, limit);
            if (fences) model.fence();
          }
          model.drain(8, 7);
          const committed = fates.flatMap((each, index) => (each === 'never' ? [] : [index + 1]));
          expect([...model.seen].sort((a, b) => a - b)).toEqual(committed);
          model.fence();
          expect(model.position.holes).toEqual([]);
        },
      ),
    );
  });

  it('hands over two ids in order when whoever made the second had seen the first', () => {
    fc.assert(
      fc.property(
        fc.array(fate, { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 9, maxLength: 9 }),
        (fates, limits) => {
          const model = new Model(fates);
          for (const [snapshot, limit] of limits.entries()) model.read(snapshot, limit);
          model.drain(8, 5);
          const at = new Map(model.seen.map((id, index) => [id, index]));
          for (const [first, earlier] of fates.entries()) {
            for (let second = first + 1; second < fates.length; second += 1) {
              const later = fates[second] as Fate;
              // Visible in every snapshot that shows the other one, with the smaller id.
              if (earlier === 'never' || later === 'never' || earlier > later) continue;
              expect(at.get(first + 1)).toBeLessThan(at.get(second + 1) as number);
            }
          }
        },
      ),
    );
  });

  it('keeps no more holes than it may, and loses nothing by stopping', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 2 * MAX_HOLES + 50, maxLength: 2 * MAX_HOLES + 400 }), (late) => {
        // Every second id is missing: late, or for ever.
        const fates = late.flatMap((isLate): Fate[] => [isLate ? 5 : 'never', 0]);
        const model = new Model(fates);
        for (let snapshot = 0; snapshot < 5; snapshot += 1) {
          model.read(snapshot, 700);
          expect(model.position.holes.length).toBeLessThanOrEqual(MAX_HOLES);
        }
        model.drain(5, 700);
        expect([...model.seen].sort((a, b) => a - b)).toEqual(fates.flatMap((each, index) => (each === 'never' ? [] : [index + 1])));
      }),
      { numRuns: 5 },
    );
  });
});
