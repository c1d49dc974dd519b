import { accountOf, type Facts, isRight, totalOf } from '../../samples/01-order-payment-stock/src/supervisor/account.js';

const ids = ['a', 'b', 'c'];
const facts: Facts = { accepted: ids, orders: ids, payments: ids, reservations: ids, killed: 1 };

function account(changed: Partial<Facts>) {
  const result = accountOf({ ...facts, ...changed });
  return { total: totalOf(result), isRight: isRight(result) };
}

describe('the account of npm start', () => {
  it('is right when every order has one payment and one reservation', () => {
    expect(account({})).toEqual({ total: 'orders=3 paid=3 reserved=3 lost=0 twice=0 killed=1', isRight: true });
  });

  it.each<[string, Partial<Facts>, string]>([
    ['an order without a payment', { payments: ['a', 'b'] }, 'orders=3 paid=2 reserved=3 lost=1 twice=0 killed=1'],
    ['an order without a reservation', { reservations: ['a', 'c'] }, 'orders=3 paid=3 reserved=2 lost=1 twice=0 killed=1'],
    [
      'an order that a customer was promised and no table has',
      { orders: ['a', 'b'] },
      'orders=3 paid=3 reserved=3 lost=1 twice=0 killed=1',
    ],
    ['an order paid twice', { payments: ['a', 'a', 'b', 'c'] }, 'orders=3 paid=4 reserved=3 lost=0 twice=1 killed=1'],
    ['one order paid twice and another one not', { payments: ['a', 'a', 'b'] }, 'orders=3 paid=3 reserved=3 lost=1 twice=1 killed=1'],
    [
      'a payment for an order that was rolled back',
      { payments: ['a', 'b', 'c', 'x'] },
      'orders=3 paid=4 reserved=3 lost=0 twice=0 killed=1',
    ],
    ['the row of an order that was rolled back', { orders: ['a', 'b', 'c', 'x'] }, 'orders=3 paid=3 reserved=3 lost=0 twice=0 killed=1'],
    ['nothing killed', { killed: 0 }, 'orders=3 paid=3 reserved=3 lost=0 twice=0 killed=0'],
  ])('is wrong with %s', (_, changed, total) => {
    expect(account(changed)).toEqual({ total, isRight: false });
  });
});
