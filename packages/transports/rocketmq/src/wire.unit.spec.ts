import { envelopeOf, readBack } from '@holdfast-internal/test-support';
import type { OutgoingMessage, ReceivedMessage } from './client.port.js';
import { fromMessage, problemOf, toMessage, typeOf } from './wire.js';

function received(message: Pick<OutgoingMessage, 'body' | 'properties' | 'group'>, attempt = 1): ReceivedMessage {
  return { topic: 'topic', id: 'id at the broker', at: new Date(0), attempt, ...message };
}

describe('messages on their way over RocketMQ', () => {
  it('arrive as they were, whatever is in their key, id and headers', () => {
    const headers = {
      empty: '',
      'x-lines': 'a\r\nb\u0001\u0085',
      '100%': '100%25 %',
      KEYS: 'k',
      __proto: 'p',
      TAGS: 't',
      CE_id: 'not the id',
      'ü:ß': 'ö',
    };
    const envelope = envelopeOf('{}', { key: 'ключ\n🔑', id: 'order/1\t', headers });
    const { key, id, headers: back, body, time } = readBack(fromMessage(received(toMessage(envelope, 'topic'))));
    expect({ key, id, headers: { ...back }, body: Buffer.from(body).toString(), time }).toEqual({
      key: 'ключ\n🔑',
      id: 'order/1\t',
      headers,
      body: '{}',
      time: envelope.time,
    });
  });

  it('that undo a request say which one, and whether it is known to have run', () => {
    const about = { compensates: 'запрос/1', compensatesType: 'scene.before', compensatesTime: new Date(), hasRun: true } as const;
    const undoing = { sagaId: 'saga\n1', replyTo: 'there', ...about };
    expect(readBack(fromMessage(received(toMessage(envelopeOf('{}', undoing), 'topic'))))).toMatchObject(undoing);
  });

  it('have nothing that RocketMQ refuses: control characters, its own names, a long group, no body', () => {
    const headers = { KEYS: 'k', DELAY: '1', __SHARDINGKEY: 's', line: 'a\nb' };
    const { properties, group, body } = toMessage(envelopeOf('x', { key: 'k'.repeat(300), headers, body: new Uint8Array() }), 'topic');
    for (const [name, value] of properties) {
      expect(name).toMatch(/^(CE_|holdfast-|[a-z])[\w.-]*$/);
      expect(value).toMatch(/^\P{Cc}+$/u);
    }
    expect(Buffer.byteLength(group as string)).toBeLessThanOrEqual(64);
    expect(body.byteLength).toBe(1);
    expect(fromMessage(received({ properties, group, body })).body.byteLength).toBe(0);
  });

  it('have one group for a key, and each its own without one', () => {
    const groupOf = (key: string | undefined, id = 'a') => toMessage(envelopeOf('x', { key, id }), 'topic').group;
    expect(groupOf('k', 'a')).toBe(groupOf('k', 'b'));
    expect(groupOf('k'.repeat(65))).not.toBe(groupOf('k'.repeat(66)));
    expect(groupOf(undefined, 'a')).not.toBe(groupOf(undefined, 'b'));
  });

  it('that are more than RocketMQ takes are told with the number and the limit', () => {
    const withHeaders = (headers: Record<string, string>) => problemOf(toMessage(envelopeOf('x', { headers }), 'topic'));
    expect(withHeaders({ a: 'x'.repeat(15_000) })).toBeUndefined();
    expect(withHeaders({ a: 'x'.repeat(16_384) })).toMatch(/have \d+ bytes, and RocketMQ takes 16384/);
    const many = Object.fromEntries(Array.from({ length: 128 }, (_, n) => [`h${n}`, 'x']));
    expect(withHeaders(many)).toMatch(/has \d+ attributes and headers, and RocketMQ takes 128/);
  });

  it('that were received before are repeats, with how often they came back', () => {
    const message = received(toMessage(envelopeOf('x'), 'topic'), 3);
    expect(fromMessage(message)).toMatchObject({ isRedelivery: true, timesReturned: 2, place: 'topic/id at the broker' });
  });

  it('with a time that is none are handed over all the same, so that they can be parked with their reason', () => {
    const properties = new Map(Object.entries({ CE_id: '1', CE_source: 's', CE_type: 't' }));
    const message = { ...received({ body: Buffer.alloc(1), properties, group: 'g' }), at: new Date(Number.NaN) };
    expect(() => readBack(fromMessage(message))).toThrow('The attribute time of a message cannot be read: it is missing');
  });

  it('have their type in a property, or in the body in structured mode, or none that could be told', () => {
    const structured = { CE_datacontenttype: 'application/cloudevents+json' };
    const typeIn = (properties: Record<string, string>, body = '{"type":"in the body"}') =>
      typeOf({ properties: new Map(Object.entries(properties)), body: Buffer.from(body) });
    expect(typeIn({ CE_type: 'beside%0Ait' })).toBe('beside\nit');
    expect(typeIn({ ...structured, CE_type: 'beside it' })).toBe('in the body');
    expect([typeIn({}), typeIn(structured, '{"type":')]).toEqual(['', '']);
  });

  it('of somebody who knows nothing of CloudEvents come with their topic as the address, and nothing in them is believed', () => {
    const properties = new Map([
      ['own', '50% off %zz %E0%A4%A'],
      ['CE_datacontenttype', 'text/plain'],
    ]);
    const { attributes, type } = fromMessage(received({ properties, group: 'g', body: Buffer.from('what') }));
    expect({ type, ...JSON.parse(attributes) }).toMatchObject({
      type: '',
      address: 'topic',
      partitionkey: 'g',
      headers: { own: '50% off %zz %E0%A4%A' },
    });
  });
});
