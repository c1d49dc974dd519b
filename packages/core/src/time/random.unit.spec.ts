import { seededRandom, systemRandom } from './random.js';

describe('seededRandom', () => {
  it('gives the same values for the same seed', () => {
    const draw = (seed: number): unknown[] => {
      const random = seededRandom(seed);
      return [random.next(), random.next(), [...random.bytes(5)], random.next()];
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
  });

  it('gives the values it always gave, so that an old failing seed still fails', () => {
    const random = seededRandom(1);
    expect([random.next(), random.next(), random.next()]).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  });

  it('stays within 0 and 1 and spreads over the range', () => {
    const random = seededRandom(7);
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 10_000; draw += 1) {
      const value = random.next();
      expect(value >= 0 && value < 1).toBe(true);
      buckets[Math.floor(value * 10)]! += 1;
    }
    for (const count of buckets) expect(count).toBeGreaterThan(850);
  });
});

describe('systemRandom', () => {
  it.each([0, 1, 10, 4096, 10_000])('gives %p bytes', (length) => {
    expect(systemRandom.bytes(length)).toHaveLength(length);
  });

  it('never changes or repeats what it handed out', () => {
    const draws = Array.from({ length: 1000 }, () => systemRandom.bytes(16));
    const before = draws.map((bytes) => Buffer.from(bytes).toString('hex'));
    for (let draw = 0; draw < 1000; draw += 1) systemRandom.bytes(16);
    expect(draws.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(before);
    expect(new Set(before).size).toBe(1000);
  });

  it('gives numbers from 0 to 1', () => {
    const value = systemRandom.next();
    expect(value >= 0 && value < 1).toBe(true);
  });
});
