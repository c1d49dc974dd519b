import fc from 'fast-check';
import { VirtualTime } from './virtual-time.js';

const START = new Date('2030-01-01T00:00:00Z');

function recorder(time: VirtualTime): { readonly log: string[]; note(name: string): () => void } {
  const log: string[] = [];
  return { log, note: (name) => () => void log.push(`${name}@${time.monotonicMs()}`) };
}

describe('VirtualTime', () => {
  it('stands still until it is advanced, and then is ahead of the database by that much', async () => {
    const time = new VirtualTime({ startsAt: START });
    expect([time.now(), time.monotonicMs(), time.aheadOfDatabaseMs()]).toEqual([START, 0, 0]);
    await time.advance('1d');
    expect([time.now(), time.monotonicMs(), time.aheadOfDatabaseMs()]).toEqual([new Date('2030-01-02T00:00:00Z'), 86_400_000, 86_400_000]);
  });

  it('begins at the real time unless told otherwise', () => {
    expect(Math.abs(new VirtualTime().now().getTime() - Date.now())).toBeLessThan(1000);
  });

  it('runs timers in the order of their due times, those due together in the order they were made, each at its time', async () => {
    const time = new VirtualTime();
    const { log, note } = recorder(time);
    time.after(300, note('c'));
    time.after(100, note('a'));
    time.after(100, note('b'));
    time.after(301, note('d'));
    await time.advance(300);
    expect(log).toEqual(['a@100', 'b@100', 'c@300']);
    await time.advance(1);
    expect(log.at(-1)).toBe('d@301');
  });

  it('runs timers that are made on the way', async () => {
    const time = new VirtualTime();
    const { log, note } = recorder(time);
    time.after(100, () => time.after(50, note('inner')));
    await time.advance(200);
    expect(log).toEqual(['inner@150']);
  });

  it('lets promises settle between timers', async () => {
    const time = new VirtualTime();
    const { log, note } = recorder(time);
    const loop = async (): Promise<void> => {
      for (let round = 0; round < 3; round += 1) {
        await time.sleep(100);
        for (let hop = 0; hop < 50; hop += 1) await undefined;
        note(`round ${round}`)();
      }
    };
    const done = loop();
    time.after(150, note('other'));
    await time.advance(300);
    await done;
    expect(log).toEqual(['round 0@100', 'other@150', 'round 1@200', 'round 2@300']);
  });

  it('runs a timer of 0 ms without being advanced, and not within the call', async () => {
    const time = new VirtualTime();
    const { log, note } = recorder(time);
    time.after(0, note('now'));
    expect(log).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual(['now@0']);
    await time.advance(10);
    expect(log).toEqual(['now@0']);
  });

  it('does not run a cancelled timer', async () => {
    const time = new VirtualTime();
    const { log, note } = recorder(time);
    time.after(10, note('cancelled')).cancel();
    time.after(0, note('cancelled')).cancel();
    const later = time.after(20, note('cancelled'));
    time.after(10, () => later.cancel());
    await time.advance(100);
    expect(log).toEqual([]);
  });

  it('ends a sleep when its signal is aborted', async () => {
    const time = new VirtualTime();
    const controller = new AbortController();
    const sleeping = time.sleep(1000, controller.signal);
    controller.abort(new Error('stopping'));
    await expect(sleeping).rejects.toThrow('stopping');
  });

  it('lets advances made side by side take turns', async () => {
    const time = new VirtualTime();
    const { log, note } = recorder(time);
    time.after(150, note('timer'));
    await Promise.all([time.advance(100), time.advance(100)]);
    expect(time.monotonicMs()).toBe(200);
    expect(log).toEqual(['timer@150']);
  });

  it('tells what a timer threw, stands at that timer, and can go on', async () => {
    const time = new VirtualTime();
    time.after(10, () => {
      throw new Error('boom');
    });
    await expect(time.advance(100)).rejects.toThrow('boom');
    expect(time.monotonicMs()).toBe(10);
    await time.advance(5);
    expect(time.monotonicMs()).toBe(15);
  });

  it('waits between timers for what it was told to wait for', async () => {
    const time: VirtualTime = new VirtualTime({ settle: async () => void settled.push(time.monotonicMs()) });
    const settled: number[] = [];
    time.after(10, () => {});
    await time.advance(20);
    expect(settled).toEqual([0, 10, 20]);
  });

  it('refuses to go back', () => {
    expect(() => new VirtualTime().advance(-1)).toThrow('not a length of time');
  });

  it('runs every due timer in order, for any set of timers and advances', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(50), { maxLength: 12 }), fc.array(fc.nat(20), { maxLength: 6 }), async (delays, advances) => {
        const time = new VirtualTime({ settle: async () => {} });
        const ran: number[] = [];
        for (const delay of delays) time.after(delay + 1, () => void ran.push(time.monotonicMs()));
        for (const by of advances) await time.advance(by);
        const until = advances.reduce((sum, by) => sum + by, 0);
        expect(ran).toEqual(
          delays
            .map((delay) => delay + 1)
            .filter((due) => due <= until)
            .sort((a, b) => a - b),
        );
      }),
    );
  });
});

describe('a poll, where they are skipped', () => {
  it('does not stop the clock on its way, and has one look at the end of it', async () => {
    const time = new VirtualTime({ skipsPolls: true });
    const looks: number[] = [];
    const look = () => {
      looks.push(time.monotonicMs());
      time.after(1000, look, { atLatestMs: Number.POSITIVE_INFINITY });
    };
    time.after(1000, look, { atLatestMs: Number.POSITIVE_INFINITY });
    await time.advance('1d');
    expect(looks).toEqual([86_400_000]);
  });

  it('stops it when it knows of something due', async () => {
    const time = new VirtualTime({ skipsPolls: true });
    const looks: number[] = [];
    time.after(1000, () => looks.push(time.monotonicMs()), { atLatestMs: 5000 });
    await time.advance('500ms');
    expect(looks).toEqual([]);
    await time.advance('1m');
    expect(looks).toEqual([5000]);
  });
});
