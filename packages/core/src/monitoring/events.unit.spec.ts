import { subscribe as listen, unsubscribe } from 'node:diagnostics_channel';
import { EVENT_NAMES, emit, subscribe } from './events.js';

const payload = { subscription: 'billing.charge' };

describe('emit', () => {
  it('makes no payload when nobody listens', () => {
    let made = 0;
    const make = (): typeof payload => {
      made += 1;
      return payload;
    };
    emit('subscription:resumed', make);
    expect(made).toBe(0);
    const stop = subscribe('subscription:resumed', () => {});
    emit('subscription:resumed', make);
    stop();
    emit('subscription:resumed', make);
    expect(made).toBe(1);
  });

  it('tells every listener at once, with the payload or what its function gives', () => {
    const heard: unknown[] = [];
    const stops = [
      subscribe('subscription:resumed', (one) => heard.push(one)),
      subscribe('subscription:resumed', (one) => heard.push(one)),
    ];
    emit('subscription:resumed', payload);
    emit('subscription:resumed', () => payload);
    expect(heard).toEqual([payload, payload, payload, payload]);
    for (const stop of stops) stop();
  });

  it('is given nothing that its event does not name, also where a function returns it', () => {
    const heard: unknown[] = [];
    const stop = subscribe('subscription:resumed', (one) => heard.push(one));
    const more = { ...payload, failures: 1 };
    // @ts-expect-error the event has no `failures`
    emit('subscription:resumed', more);
    // @ts-expect-error the event has no `failures`
    emit('subscription:resumed', () => more);
    // @ts-expect-error the event has no `failures`
    emit('subscription:resumed', () => ({ ...payload, failures: 1 }));
    stop();
    expect(heard).toEqual([more, more, more]);
  });

  it('tells nobody who stopped listening', () => {
    const heard: unknown[] = [];
    subscribe('subscription:resumed', (one) => heard.push(one))();
    emit('subscription:resumed', payload);
    expect(heard).toEqual([]);
  });

  it('tells only those who listen to this event', () => {
    const heard: unknown[] = [];
    const stop = subscribe('subscription:missing', (one) => heard.push(one));
    emit('subscription:resumed', payload);
    expect(heard).toEqual([]);
    stop();
  });

  it('reaches listeners on the diagnostics channel holdfast:<name>', () => {
    const heard: unknown[] = [];
    const listener = (one: unknown, channel: string | symbol): void => void heard.push([channel, one]);
    listen('holdfast:subscription:resumed', listener);
    emit('subscription:resumed', payload);
    unsubscribe('holdfast:subscription:resumed', listener);
    expect(heard).toEqual([['holdfast:subscription:resumed', payload]]);
  });

  it('reaches listeners of another copy of the package', async () => {
    await jest.isolateModulesAsync(async () => {
      const copy = await import('./events.js');
      const heard: unknown[] = [];
      const stop = copy.subscribe('subscription:resumed', (one) => heard.push(one));
      emit('subscription:resumed', payload);
      stop();
      expect(heard).toEqual([payload]);
    });
  });

  describe('when something throws', () => {
    let warn: jest.SpyInstance;
    beforeEach(() => {
      warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    });
    afterEach(() => {
      warn.mockRestore();
    });

    it('goes on with the other listeners and makes the error a warning', () => {
      const heard: unknown[] = [];
      const stops = [
        subscribe('subscription:resumed', () => {
          throw new Error('listener broke');
        }),
        subscribe('subscription:resumed', (one) => heard.push(one)),
      ];
      emit('subscription:resumed', payload);
      expect(heard).toEqual([payload]);
      expect(warn).toHaveBeenCalledWith('A listener of holdfast:subscription:resumed failed: listener broke', 'HoldfastWarning');
      for (const stop of stops) stop();
    });

    it('makes what the promise of a listener rejects with a warning', async () => {
      const stop = subscribe('subscription:resumed', async () => {
        throw new Error('listener broke later');
      });
      emit('subscription:resumed', payload);
      await new Promise(setImmediate);
      expect(warn).toHaveBeenCalledWith('A listener of holdfast:subscription:resumed failed: listener broke later', 'HoldfastWarning');
      stop();
    });

    it('survives a payload that cannot be made', () => {
      const stop = subscribe('subscription:resumed', () => {});
      emit('subscription:resumed', () => {
        throw new Error('no payload');
      });
      expect(warn).toHaveBeenCalledTimes(1);
      stop();
    });
  });
});

describe('EVENT_NAMES', () => {
  it.each(EVENT_NAMES)('%s has the form <area>:<event>', (name) => {
    expect(name).toMatch(/^[a-z]+:[a-z]+(-[a-z]+)*$/);
  });
});
