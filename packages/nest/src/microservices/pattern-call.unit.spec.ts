import { NEVER, Observable, of, throwError } from 'rxjs';
import { testDelivery } from '../testing/test-delivery.js';
import { HoldfastContext } from './holdfast.context.js';
import { PatternCall } from './pattern-call.js';

const REASON = new Error('the time is over');

function callWith(signal: AbortSignal): PatternCall {
  return new PatternCall(new HoldfastContext([testDelivery({ signal })]));
}

describe('a handler that gives an observable', () => {
  it('has returned its last value when it completes', async () => {
    expect(await callWith(new AbortController().signal).run(() => of(1, 2))).toBe(2);
  });

  it('fails with its error', async () => {
    await expect(callWith(new AbortController().signal).run(() => throwError(() => REASON))).rejects.toBe(REASON);
  });

  it('is let go of when its attempt ends, with the reason', async () => {
    const ending = new AbortController();
    let isLetGo = false;
    const endless = new Observable(() => () => {
      isLetGo = true;
    });
    const running = callWith(ending.signal).run(() => endless);
    setImmediate(() => ending.abort(REASON));
    await expect(running).rejects.toBe(REASON);
    expect(isLetGo).toBe(true);
  });

  it('ends with the reason also where the attempt has ended before it was given', async () => {
    await expect(callWith(AbortSignal.abort(REASON)).run(() => NEVER)).rejects.toBe(REASON);
  });
});
