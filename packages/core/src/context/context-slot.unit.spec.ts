import { setImmediate as turn } from 'node:timers/promises';
import { ContextSlot } from './context-slot.js';

describe('ContextSlot', () => {
  it('has no value where none was given', () => {
    expect(new ContextSlot<string>().get()).toBeUndefined();
  });

  it('gives its value to what is awaited, and to nobody else', async () => {
    const slot = new ContextSlot<string>();
    const seen: (string | undefined)[] = [];
    const look = async () => {
      await turn();
      seen.push(slot.get());
    };
    await Promise.all([slot.run('a', look), slot.run('b', look), look()]);
    expect(seen).toEqual(['a', 'b', undefined]);
  });

  it('keeps the values of other slots', () => {
    const [first, second] = [new ContextSlot<number>(), new ContextSlot<number>()];
    first.run(1, () =>
      second.run(2, () => {
        first.run(3, () => expect([first.get(), second.get()]).toEqual([3, 2]));
        expect([first.get(), second.get()]).toEqual([1, 2]);
      }),
    );
  });

  it('gives what follows in a context the value that is entered', async () => {
    const slot = new ContextSlot<string>();
    const other = new ContextSlot<string>();
    await other.run('around', async () => {
      slot.enter('first');
      await turn();
      slot.enter('second');
      expect([slot.get(), other.get()]).toEqual(['second', 'around']);
    });
    expect(slot.get()).toBeUndefined();
  });

  it('does not grow where two slots are entered in turns: what is not there is not looked for in what was entered before', () => {
    const [first, second, missing] = [new ContextSlot<number>(), new ContextSlot<number>(), new ContextSlot<string>()];
    first.run(0, () => {
      for (let round = 0; round < 100_000; round += 1) {
        first.enter(round);
        second.enter(round);
      }
      const tookMs = [1, 2, 3].map(() => {
        const startedMs = performance.now();
        // Through a hundred thousand values each time it would take ten seconds.
        for (let look = 0; look < 20_000; look += 1) missing.get();
        return performance.now() - startedMs;
      });
      expect(Math.min(...tookMs)).toBeLessThan(1000);
      expect([first.get(), second.get()]).toEqual([99_999, 99_999]);
    });
  });
});
