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

  it('does not grow where two slots are entered in turns, so that a hundred thousand rounds are looked through at once', () => {
    const [first, second] = [new ContextSlot<number>(), new ContextSlot<number>()];
    const [bottom, missing] = [new ContextSlot<string>(), new ContextSlot<string>()];
    bottom.run('bottom', () => {
      for (let round = 0; round < 100_000; round += 1) {
        first.enter(round);
        second.enter(round);
      }
      // Frames that piled up would make the walk to the bottom too deep for the stack.
      bottom.run('bottom again', () => expect([bottom.get(), missing.get()]).toEqual(['bottom again', undefined]));
    });
  });
});
