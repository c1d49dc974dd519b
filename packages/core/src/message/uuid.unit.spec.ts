import { type Clock, systemClock } from '../time/clock.js';
import { seededRandom, systemRandom } from '../time/random.js';
import { uuidv7 } from './uuid.js';

function clockAt(ms: number): Clock & { ms: number } {
  const clock = { ms, now: () => new Date(clock.ms), monotonicMs: () => clock.ms, aheadOfDatabaseMs: () => 0 };
  return clock;
}

function msOf(id: string): number {
  return Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
}

describe('uuidv7', () => {
  it('is a UUID of version 7 and variant 10, in lower case', () => {
    for (let count = 0; count < 1000; count += 1) {
      expect(uuidv7(systemClock, systemRandom)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it('begins with the time, as the example of RFC 9562 does', () => {
    expect(uuidv7(clockAt(0x017f22e279b0), seededRandom(1))).toMatch(/^017f22e2-79b0-7/);
  });

  it('ascends within one millisecond, also past the end of the counter', () => {
    const clock = clockAt(1_900_000_000_000);
    const ids = Array.from({ length: 20_000 }, () => uuidv7(clock, systemRandom));
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(msOf(ids.at(-1) as string) - clock.ms).toBeLessThan(15);
  });

  it('ascends when the clock is set back', () => {
    const clock = clockAt(1_900_000_000_000);
    const before = uuidv7(clock, systemRandom);
    clock.ms -= 3_600_000;
    expect(uuidv7(clock, systemRandom) > before).toBe(true);
  });

  it('is not held back by the ids of another clock', () => {
    uuidv7(clockAt(4_000_000_000_000), systemRandom);
    const clock = clockAt(1_900_000_000_000);
    expect(msOf(uuidv7(clock, systemRandom))).toBe(clock.ms);
  });

  it('repeats itself under a seed', () => {
    const run = (): string[] => {
      const clock = clockAt(1_900_000_000_000);
      const random = seededRandom(3);
      return Array.from({ length: 5 }, () => uuidv7(clock, random));
    };
    expect(run()).toEqual(run());
  });
});
