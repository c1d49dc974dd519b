import { Names } from './names.js';
import { isTopicName } from './settings.js';

describe('names at RocketMQ', () => {
  const names = new Names({ prefix: 'ns%holdfast_', topics: { 'order.placed': 'ns%orders', 'order.gone': 'ns%orders' } }, 'our.shop');

  it('are those of the types, or the ones that were given', () => {
    expect(names.topicOf('stock.reserved')).toBe('ns%holdfast_stock_reserved');
    expect(names.topicsOf({ types: ['order.placed', 'order.gone', 'stock.reserved'] })).toEqual([
      'ns%orders',
      'ns%holdfast_stock_reserved',
    ]);
    expect(names.typesIn('ns%orders')).toEqual(['order.placed', 'order.gone']);
    expect(names.groupOf({ name: 'billing.charge' })).toBe('ns%holdfast_our_shop-_billing_charge');
  });

  it('are different for what is different, whatever its signs', () => {
    const types = [
      'a.b',
      'a_b',
      'a-b',
      'a-.b',
      'a_.b',
      'a._b',
      'a--b',
      'a-ub',
      'a u',
      'ä',
      'A.b',
      '',
      '.',
      '-d_x',
      'x'.repeat(200),
      'x'.repeat(201),
    ];
    const all = types.map((type) => names.topicOf(type));
    expect(new Set(all).size).toBe(types.length);
    for (const name of all) expect(isTopicName(name)).toBe(true);
    const parts = ['a', 'a.b', 'a-', '-_b', 'b'];
    const pairs = parts.flatMap((service) => parts.map((name) => new Names({ prefix: '', topics: {} }, service).groupOf({ name })));
    expect(new Set(pairs).size).toBe(pairs.length);
    const others = [names.deadLettersOf({ name: 'x' }), names.replies(), names.groupOfReplies('x'), names.groupOf({ name: 'x' })];
    expect(new Set([...all, ...others]).size).toBe(all.length + others.length);
  });
});
