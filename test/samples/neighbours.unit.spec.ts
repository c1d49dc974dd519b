import { fromOldShop } from './how-to/neighbours.js';

describe('the mapping of the how-to page', () => {
  const raw = (body: string, address = 'old-shop/orders') => ({ address, headers: { 'message-id': 'm-1' }, body: Buffer.from(body) });

  it('reads what the old shop sends, throws at an order without a number, and knows nothing else', () => {
    const order = { id: 'm-1', source: 'old-shop', type: 'order.placed', data: { n: 7 } };
    expect(fromOldShop(raw('<order><n>7</n></order>'))).toEqual(order);
    expect(() => fromOldShop(raw('<order/>'))).toThrow('an order without a number');
    expect(fromOldShop(raw('<order><n>7</n></order>', 'old-shop/users'))).toBeUndefined();
  });
});
