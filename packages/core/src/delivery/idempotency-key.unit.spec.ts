import { businessKey } from './idempotency-key.js';

describe('businessKey', () => {
  it.each([
    ['is missing', () => undefined, 'it is missing'],
    ['is a number', () => 7, 'it is no text'],
    [
      'is a promise, whose rejection reaches nobody',
      () => Promise.reject(new Error('no')),
      'it is a promise: the key must be there at once',
    ],
  ])('refuses a key that %s', async (_, key, reason) => {
    expect(() => businessKey(key(), 'Billing.charge')).toThrow(reason);
    await new Promise(setImmediate);
  });

  it('is a text of no source', () => {
    expect(businessKey('o-1', 'Billing.charge')).toEqual({ source: '', id: 'o-1' });
  });
});
