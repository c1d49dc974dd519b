import { type Attributes, envelopeFrom } from '../message/attributes.js';
import { createDelivery, Delivery, type DeliveryFields } from './delivery.js';

const attributes: Attributes = {
  id: 'm-1',
  source: 'orders',
  type: 'order.placed',
  time: '2030-01-01T00:00:00Z',
  dataschema: 'urn:holdfast:order.placed:2',
  partitionkey: 'o-1',
  correlationid: 'c-1',
  causationid: 'm-0',
  sagaid: 's-1',
  headers: { tenant: 'acme' },
};

function deliveryWith(fields: Partial<DeliveryFields> = {}, changes: Attributes = {}): Delivery {
  return createDelivery({
    envelope: envelopeFrom({ ...attributes, ...changes }, Buffer.from('{}')),
    subscription: 'billing.charge',
    attempt: 2,
    isRedelivery: true,
    deadlineAt: new Date('2030-01-01T00:01:00Z'),
    signal: () => new AbortController().signal,
    ...fields,
  });
}

describe('a delivery', () => {
  it('tells what the envelope says and which attempt it is', () => {
    const delivery = deliveryWith();
    expect(delivery).toBeInstanceOf(Delivery);
    expect(delivery).toMatchObject({
      id: 'm-1',
      source: 'orders',
      type: 'order.placed',
      version: 2,
      key: 'o-1',
      time: new Date('2030-01-01T00:00:00Z'),
      subscription: 'billing.charge',
      attempt: 2,
      isRedelivery: true,
      deadlineAt: new Date('2030-01-01T00:01:00Z'),
      correlationId: 'c-1',
      causationId: 'm-0',
      sagaId: 's-1',
    });
    expect(delivery.headers.tenant).toBe('acme');
  });

  it('makes its signal once, when it is looked at', () => {
    let made = 0;
    const controller = new AbortController();
    const delivery = deliveryWith({
      signal: () => {
        made += 1;
        return controller.signal;
      },
    });
    expect(made).toBe(0);
    expect(delivery.signal).toBe(controller.signal);
    expect(delivery.signal).toBe(controller.signal);
    expect(made).toBe(1);
  });

  it('has an idempotency key that is fit for a header', () => {
    expect(deliveryWith().idempotencyKey).toMatch(/^[0-9a-f]{32}$/);
  });

  it('has the same idempotency key at every attempt, and after a restart', () => {
    expect(deliveryWith({ attempt: 1, isRedelivery: false }).idempotencyKey).toBe(deliveryWith({ attempt: 9 }).idempotencyKey);
    expect(deliveryWith().idempotencyKey).toBe('d72bab19d5275cdeba7f44745cd1ece1');
  });

  it('has another idempotency key for another subscription, source or message', () => {
    const keys = [
      deliveryWith(),
      deliveryWith({ subscription: 'billing.refund' }),
      deliveryWith({}, { source: 'shop' }),
      deliveryWith({}, { id: 'm-2' }),
      deliveryWith({ subscription: 'a' }, { source: 'bc' }),
      deliveryWith({ subscription: 'ab' }, { source: 'c' }),
    ].map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('takes the idempotency key it is given', () => {
    expect(deliveryWith({ idempotencyKey: 'mine' }).idempotencyKey).toBe('mine');
  });
});
