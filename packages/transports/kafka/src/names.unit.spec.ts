import { Names } from './names.js';

describe('names at the broker', () => {
  const names = new Names({ prefix: 'p.', topics: { 'a.shared': 'orders', 'b.shared': 'orders' } }, 'shop & co');

  it('of topics are those of types, where Kafka takes them as they are', () => {
    expect(names.topicOf('order.placed')).toBe('p.order.placed');
    expect(names.topicOf('a.shared')).toBe('orders');
    expect(names.topicsOf({ types: ['a.shared', 'order.placed', 'b.shared'] })).toEqual(['orders', 'p.order.placed']);
    expect(names.typesIn('orders')).toEqual(['a.shared', 'b.shared']);
  });

  it.each(['größe', 'a b', 'x'.repeat(300), '-dead.x.y', '', '.', 'toString/..'])(
    'of a type that is none by itself is its hash: %s',
    (type) => {
      expect(names.topicOf(type)).toMatch(/^p\.-sha256\.[\da-f]{64}$/);
    },
  );

  it('of a type that every object has are its own', () => {
    expect(names.topicOf('constructor')).toBe('p.constructor');
  });

  it('are told apart, whatever service and subscription are called', () => {
    const of = (service: string, name: string) => {
      const each = new Names({ prefix: 'p.', topics: {} }, service);
      return [each.groupOf({ name }), each.deadLettersOf({ name })].join();
    };
    const pairs = [
      ['a', 'b.c'],
      ['a.b', 'c'],
      ['a/b', 'c'],
      ['a', 'b/c'],
      ['a_2e_b', 'c'],
    ] as const;
    expect(new Set(pairs.map(([service, name]) => of(service, name))).size).toBe(pairs.length);
    expect(names.deadLettersOf({ name: 'shop.book' })).toBe('p.-dead.shop_20__26__20_co.shop_2e_book');
    expect(names.groupOf({ name: 'shop.book' })).toBe('p.shop%20%26%20co/shop.book');
    expect(names.groupOfReplies('n')).toBe('p.shop%20%26%20co//replies/n');
  });

  it('of who makes transactions are those of one partition of one group, whatever they are called', () => {
    const of = (group: string, topic: string, transactionalId?: string) =>
      new Names({ prefix: 'p.', topics: {}, transactionalId }, 'shop').transactionalIdOf(group, { topic, partition: 3 });
    expect(of('p.shop/count', 'p.page.viewed')).toBe('shop-p.shop/count/p.page.viewed/3');
    expect(of('p.shop/count', 'p.page.viewed', 'analytics')).toBe('analytics-p.shop/count/p.page.viewed/3');
    expect(of('p.shop/a-b', 'c')).not.toBe(of('p.shop/a', 'b-c'));
  });
});
