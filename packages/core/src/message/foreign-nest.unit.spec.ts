import { fromClientProxy, fromNestOutbox } from './foreign-nest.js';
import type { ReadForeign } from './foreign.js';

const read = (readForeign: ReadForeign, body: unknown, headers: Record<string, string> = {}) =>
  readForeign({ address: 'orders', headers, body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) });

describe("what Nest's ClientProxy sends", () => {
  const readForeign = fromClientProxy({ source: 'orders' });

  it('has its pattern as type and its data as data; a request has an id', () => {
    const sent = { pattern: 'order.placed', data: { n: 1 }, id: '0d7e' };
    expect(read(readForeign, sent)).toEqual({ id: '0d7e', source: 'orders', type: 'order.placed', key: undefined, data: { n: 1 } });
  });

  it.each([
    [{ cmd: 'place' }, '{"cmd":"place"}'],
    [{ version: 2, cmd: 'a"b', in: { b: 1, a: 'x' } }, '{"cmd":"a\\"b","in":{"a":"x","b":1},"version":2}'],
    [5, '5'],
  ])('has the text that Nest makes of a pattern %j as its type', (pattern, type) => {
    expect(read(readForeign, { pattern, data: {} })?.type).toBe(type);
  });

  it('has the id of its data, else that of its headers, else a new one each time', () => {
    const event = { pattern: 'order.placed', data: { orderId: 'o-1' } };
    const id = (data: unknown, type: string) => {
      const { orderId } = data as { readonly orderId?: string };
      return orderId === undefined ? undefined : `${type} ${orderId}`;
    };
    const byOrder = fromClientProxy({ source: 'orders', id, key: (_data, type) => `k ${type}` });
    expect(read(byOrder, event)).toMatchObject({ id: 'order.placed o-1', key: 'k order.placed' });
    expect(read(byOrder, { ...event, data: {} }, { 'message-id': 'm-1' })?.id).toBe('m-1');
    const ids = [1, 2].map(() => read(readForeign, event)?.id);
    expect(new Set(ids).size).toBe(2);
  });

  it.each(['hello', '[]', 'null', '{}', '{"pattern":"a"}', '{"data":{}}', '{"pattern":null,"data":1}'])('is not %s', (body) => {
    expect(read(readForeign, body)).toBeUndefined();
  });
});

describe('envelopes of @nestjs/outbox', () => {
  const readForeign = fromNestOutbox({ source: 'orders' });
  const envelope = {
    id: 'e-1',
    topic: 'order.placed',
    key: 'o-1',
    headers: { tenant: 'a' },
    createdAt: 1_700_000_000_000,
    payload: { n: 1 },
  };
  const message = {
    id: 'e-1',
    source: 'orders',
    type: 'order.placed',
    key: 'o-1',
    headers: { tenant: 'a' },
    time: new Date(1_700_000_000_000),
    data: { n: 1 },
  };

  it('are read by themselves, and as the data of what a ClientProxy sends', () => {
    expect(read(readForeign, envelope)).toEqual(message);
    expect(read(readForeign, { pattern: 'order.placed', data: envelope })).toEqual(message);
  });

  it('have no key when it is null', () => {
    expect(read(readForeign, { ...envelope, key: null })?.key).toBeUndefined();
  });

  it.each(['id', 'topic', 'createdAt', 'payload'])('are not without %s', (name) => {
    expect(read(readForeign, { ...envelope, [name]: undefined })).toBeUndefined();
  });

  it('come before what a ClientProxy sends where a bus gets both', () => {
    const plain = fromClientProxy({ source: 'orders' });
    const both: ReadForeign = (raw) => readForeign(raw) ?? plain(raw);
    expect(read(both, { pattern: 'order.placed', data: envelope })?.data).toEqual({ n: 1 });
    expect(read(both, { pattern: 'order.placed', data: { n: 2 } })?.data).toEqual({ n: 2 });
  });
});
