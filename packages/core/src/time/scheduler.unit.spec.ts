import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { systemClock } from './clock.js';
import { systemScheduler } from './scheduler.js';

describe('systemScheduler.after', () => {
  it('runs the task once, not within the call and not too early', async () => {
    const startMs = performance.now();
    let isWithinCall = true;
    const elapsedMs = await new Promise<number>((resolve) => {
      systemScheduler.after(
        20,
        () => {
          expect(isWithinCall).toBe(false);
          resolve(performance.now() - startMs);
        },
        { keepsProcessAlive: true },
      );
      isWithinCall = false;
    });
    expect(elapsedMs).toBeGreaterThan(18);
  });

  it('lets what came during a stall be read before it runs a long one', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [[Socket], unknown];
    const order: string[] = [];
    socket.on('data', () => order.push('the answer'));
    const answered = once(socket, 'data');
    const late = new Promise<void>((resolve) => {
      systemScheduler.after(
        1000,
        () => {
          order.push('the time-out');
          resolve();
        },
        { keepsProcessAlive: true },
      );
    });
    peer.write('an answer');
    // Nothing is read for longer than the time-out.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    await Promise.all([answered, late]);
    expect(order).toEqual(['the answer', 'the time-out']);
    for (const each of [socket, peer]) each.destroy();
    server.close();
  });

  it('does not run a cancelled task', async () => {
    let hasRun = false;
    const timer = systemScheduler.after(1, () => {
      hasRun = true;
    });
    timer.cancel();
    await systemScheduler.sleep(10, undefined, { keepsProcessAlive: true });
    expect(hasRun).toBe(false);
  });

  describe('beyond what a timer of Node can wait', () => {
    beforeEach(() => {
      jest.useFakeTimers();
    });
    afterEach(() => {
      jest.useRealTimers();
    });

    it('waits its whole time', () => {
      let hasRun = false;
      const days = 60 * 86_400_000;
      systemScheduler.after(days, () => {
        hasRun = true;
      });
      jest.advanceTimersByTime(days - 1);
      expect(hasRun).toBe(false);
      jest.advanceTimersByTime(1);
      expect(hasRun).toBe(true);
    });

    it('can be cancelled in a later part', () => {
      let hasRun = false;
      const days = 60 * 86_400_000;
      const timer = systemScheduler.after(days, () => {
        hasRun = true;
      });
      jest.advanceTimersByTime(days - 1000);
      timer.cancel();
      jest.advanceTimersByTime(2000);
      expect(hasRun).toBe(false);
    });

    it('keeps a process alive only when asked to', () => {
      const made = jest.spyOn(globalThis, 'setTimeout');
      systemScheduler.after(60 * 86_400_000, () => {});
      systemScheduler.after(60 * 86_400_000, () => {}, { keepsProcessAlive: true });
      expect(made.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false, true]);
    });
  });
});

describe('systemScheduler.sleep', () => {
  it('rejects with the reason of the signal as soon as it is aborted', async () => {
    const controller = new AbortController();
    const sleeping = systemScheduler.sleep(60_000, controller.signal);
    controller.abort(new Error('stopping'));
    await expect(sleeping).rejects.toThrow('stopping');
  });

  it('rejects at once when the signal is aborted already', async () => {
    await expect(systemScheduler.sleep(60_000, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
  });

  it('leaves no listener on the signal behind', async () => {
    const { signal } = new AbortController();
    const removed = jest.spyOn(signal, 'removeEventListener');
    await systemScheduler.sleep(1, signal, { keepsProcessAlive: true });
    expect(removed).toHaveBeenCalledWith('abort', expect.any(Function));
  });
});

describe('systemClock', () => {
  it('is not ahead of the database', () => {
    expect(systemClock.aheadOfDatabaseMs()).toBe(0);
  });

  it('measures with a clock that does not go back', () => {
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
    expect(Math.abs(systemClock.now().getTime() - Date.now())).toBeLessThan(1000);
  });
});
