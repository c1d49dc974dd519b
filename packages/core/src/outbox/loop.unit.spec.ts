import { VirtualTime } from '../testing/virtual-time.js';
import { Loop } from './loop.js';

const make = (work: () => Promise<boolean | number>) => {
  const time = new VirtualTime();
  const failures: unknown[] = [];
  return { time, failures, loop: new Loop({ scheduler: time, pollMs: 1000, work, failed: (error) => failures.push(error) }) };
};
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('a loop', () => {
  it('runs at once, and then once per poll interval', async () => {
    let runs = 0;
    const { loop, time } = make(async () => {
      runs += 1;
      return false;
    });
    loop.start();
    await settle();
    expect(runs).toBe(1);
    for (let seconds = 1; seconds <= 3; seconds += 1) await time.advance(1000);
    expect(runs).toBe(4);
    await loop.stop();
  });

  it('runs again at once while there is more', async () => {
    let left = 3;
    const { loop } = make(async () => {
      left -= 1;
      return left > 0;
    });
    loop.start();
    await settle();
    expect(left).toBe(0);
    await loop.stop();
  });

  it('comes back earlier when the work says so', async () => {
    let runs = 0;
    const { loop, time } = make(async () => {
      runs += 1;
      return 200;
    });
    loop.start();
    await time.advance(600);
    expect(runs).toBe(4);
    await loop.stop();
  });

  it('never runs twice at a time, and does not forget a nudge', async () => {
    let running = 0;
    let runs = 0;
    const { loop } = make(async () => {
      running += 1;
      runs += 1;
      expect(running).toBe(1);
      await settle();
      running -= 1;
      return false;
    });
    loop.start();
    loop.nudge();
    loop.nudge();
    expect(loop.isBusy).toBe(true);
    await settle();
    await settle();
    await settle();
    expect(runs).toBe(2);
    await loop.stop();
  });

  it('waits longer after each failure, and goes on', async () => {
    const at: number[] = [];
    const { loop, time, failures } = make(async () => {
      at.push(time.monotonicMs());
      throw new Error('down');
    });
    const begin = time.monotonicMs();
    loop.start();
    await time.advance(1000);
    expect(at.map((ms) => Math.round(ms - begin))).toEqual([0, 100, 300, 700]);
    expect(failures).toHaveLength(4);
    await loop.stop();
  });

  it('ends after the run in hand', async () => {
    let isDone = false;
    const { loop, time } = make(async () => {
      await settle();
      isDone = true;
      return true;
    });
    loop.start();
    await loop.stop();
    expect(isDone).toBe(true);
    loop.nudge();
    await time.advance(5000);
    expect(loop.isBusy).toBe(false);
  });
});
