import { Delivery } from '@holdfast/core';
import { HoldfastTesting } from './index.js';

describe('a delivery for calling a handler by hand', () => {
  it('has what was given', () => {
    const { signal } = new AbortController();
    const given = {
      id: 'm-1',
      source: 'orders',
      key: 'o-1',
      attempt: 2,
      idempotencyKey: 'k-1',
      signal,
      headers: { a: 'b' },
      sagaId: 's-1',
    };
    expect(HoldfastTesting.delivery(given)).toMatchObject({ ...given, isRedelivery: true, correlationId: 'm-1' });
  });

  it('makes up the rest: a first attempt of a message of its own', () => {
    const [one, two] = [HoldfastTesting.delivery(), HoldfastTesting.delivery()];
    expect(one).toBeInstanceOf(Delivery);
    expect(one).toMatchObject({ attempt: 1, isRedelivery: false, key: undefined, headers: {} });
    expect(one.id).not.toBe(two.id);
    expect(one.idempotencyKey).not.toBe(two.idempotencyKey);
    expect(one.signal.aborted).toBe(false);
    expect(one.deadlineAt.getTime()).toBeGreaterThan(one.time.getTime());
  });
});
