import { accountOf, type Facts, isRight, totalOf } from '../../samples/01-order-payment-stock/src/supervisor/account.js';

const ids = ['a', 'b', 'c'];
const accepted = new Map([
  ['a', 'ann'],
  ['b', 'dan'],
  ['c', 'nora'],
]);
const endings = new Map([
  ['a', 'completed'],
  ['b', 'compensated'],
  ['c', 'parked'],
]);
const facts: Facts = {
  ...{ accepted, orders: ids, reservations: ['a', 'c'], payments: ['a', 'c'], parcels: ['a'] },
  ...{ endings, missing: { money: 0, pieces: 0 }, killed: 2 },
};

function account(changed: Partial<Facts>) {
  const result = accountOf({ ...facts, ...changed });
  return { total: totalOf(result), isRight: isRight(result) };
}

const line = (lost: number, twice: number) => `orders=3 completed=1 compensated=1 parked=1 lost=${lost} twice=${twice} killed=2`;

describe('the account of npm start', () => {
  it('is right when every order has ended, and has what belongs to its end', () => {
    expect(account({})).toEqual({ total: line(0, 0), isRight: true });
  });

  it.each<[string, Partial<Facts>, string]>([
    ['a shipped order without a payment', { payments: ['c'] }, line(1, 0)],
    ['a shipped order without a reservation', { reservations: ['c'] }, line(1, 0)],
    ['a shipped order without a parcel', { parcels: [] }, line(1, 0)],
    ['an order that a customer was promised and no table has', { orders: ['a', 'b'] }, line(1, 0)],
    ['an order paid twice', { payments: ['a', 'a', 'c'] }, line(0, 1)],
    ['an order shipped twice', { parcels: ['a', 'a'] }, line(0, 1)],
    ['one order paid twice and another one not', { payments: ['a', 'a'] }, line(1, 1)],
    ['an order that is undone and paid', { payments: ['a', 'b', 'c'] }, line(0, 1)],
    ['an order that is undone and still reserved', { reservations: ['a', 'b', 'c'] }, line(0, 1)],
    ['an order that is parked and shipped', { parcels: ['a', 'c'] }, line(0, 1)],
    ['a payment for an order that was rolled back', { payments: ['a', 'c', 'x'] }, line(0, 0)],
    ['the row of an order that was rolled back', { orders: [...ids, 'x'] }, line(0, 0)],
    ['money that is gone', { missing: { money: 25, pieces: 0 } }, line(0, 0)],
    ['a lamp too many', { missing: { money: 0, pieces: -1 } }, line(0, 0)],
    ['only one killed', { killed: 1 }, line(0, 0).replace('killed=2', 'killed=1')],
    [
      'no order at all',
      { accepted: new Map(), orders: [], reservations: [], payments: [], parcels: [], endings: new Map() },
      'orders=0 completed=0 compensated=0 parked=0 lost=0 twice=0 killed=2',
    ],
    [
      'every order undone',
      { reservations: [], payments: [], parcels: [], endings: new Map(ids.map((id) => [id, 'compensated'])) },
      'orders=3 completed=0 compensated=3 parked=0 lost=0 twice=0 killed=2',
    ],
    ['an order undone that could be paid', { accepted: new Map([...accepted, ['b', 'ben']]) }, line(0, 0)],
    ['an order parked that could be shipped', { accepted: new Map([...accepted, ['c', 'cleo']]) }, line(0, 0)],
    ['an order shipped that dan cannot pay', { accepted: new Map([...accepted, ['a', 'dan']]) }, line(0, 0)],
    ['an order shipped to nowhere', { accepted: new Map([...accepted, ['a', 'nora']]) }, line(0, 0)],
    [
      'a saga that is not at its end',
      { endings: new Map([...endings, ['c', 'running']]) },
      'orders=3 completed=1 compensated=1 parked=0 lost=1 twice=0 killed=2',
    ],
    [
      'an order without a saga',
      { endings: new Map([...endings].slice(0, 2)) },
      'orders=3 completed=1 compensated=1 parked=0 lost=1 twice=0 killed=2',
    ],
  ])('is wrong with %s', (_, changed, total) => {
    expect(account(changed)).toEqual({ total, isRight: false });
  });
});
