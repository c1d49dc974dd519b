import { type Envelope, envelopeFrom, slotOf } from '@holdfast/core';
import type { ConsumeMessage } from 'amqplib';
import { bindingKeyOf, fromWire, publishOptions, toWire } from './wire.js';

const RECEIVED = new Date('2026-01-02T03:04:05.678Z');

const envelopeOf = (also: Partial<Envelope> = {}): Envelope => ({
  id: '1',
  source: 'shop',
  type: 'order.placed',
  version: 1,
  time: RECEIVED,
  headers: {},
  correlationId: '1',
  kind: 'event',
  contentType: 'application/json',
  body: Buffer.from('{}'),
  ...also,
});

const delivered = (headers: Record<string, unknown>, also: { contentType?: string; redelivered?: boolean } = {}): ConsumeMessage => ({
  content: Buffer.from('{}'),
  fields: { deliveryTag: 1, redelivered: also.redelivered ?? false, exchange: 'x', routingKey: 'r', consumerTag: 'c' },
  properties: { headers, contentType: also.contentType } as ConsumeMessage['properties'],
});

/** What is refused for nothing but what comes with it. */
const COMPLETE = { 'cloudEvents:id': '1', 'cloudEvents:source': 'shop', 'cloudEvents:type': 'order.placed' };
/** As amqplib makes a table of one whose key `__proto__` has no value. */
const BARE: unknown = Object.create(null);
const DEEP = Array.from({ length: 20_000 }).reduce<Record<string, unknown>>((inner) => ({ a: inner }), {});
const UNSPEAKABLE = new Proxy({} as Record<string, unknown>, {
  get: () => {
    throw new Error('no');
  },
  ownKeys: () => {
    throw new Error('no');
  },
});

const read = (message: ConsumeMessage) => fromWire(message, { place: 'q/1/1', receivedAt: RECEIVED });

describe('a message on the wire', () => {
  it('is CloudEvents in binary mode, persistent and mandatory', () => {
    const message = toWire(envelopeOf({ key: 'k', headers: { tenant: 'a' } }));
    expect(publishOptions(message)).toMatchObject({
      contentType: 'application/json',
      persistent: true,
      mandatory: true,
      headers: {
        'cloudEvents:specversion': '1.0',
        'cloudEvents:id': '1',
        'cloudEvents:source': 'shop',
        'cloudEvents:type': 'order.placed',
        'cloudEvents:time': '2026-01-02T03:04:05.678Z',
        'cloudEvents:partitionkey': 'k',
        'cloudEvents:dataschema': 'urn:holdfast:order.placed:1',
        tenant: 'a',
      },
    });
    expect(message.headers).not.toHaveProperty('cloudEvents:datacontenttype');
  });

  it('carries the slot of its key as the last word of its routing key', () => {
    expect(toWire(envelopeOf({ key: 'k' })).routingKey).toBe(`order.placed.${slotOf('k')}`);
    expect(toWire(envelopeOf()).routingKey).toBe('order.placed.none');
    expect(bindingKeyOf('order.placed')).toBe('order.placed.*');
  });

  it.each(['a.*', '#', '*.b', 'ü'.repeat(200)])('never makes a pattern or a key that is too long of the type %s', (type) => {
    const { routingKey } = toWire(envelopeOf({ type }));
    expect(routingKey).toMatch(/^sha256-[0-9a-f]{64}\.none$/);
    expect(bindingKeyOf(type)).toBe(routingKey.replace(/none$/, '*'));
  });

  it.each([
    'CC',
    'BCC',
    'x-death',
    'x-delivery-count',
    'cloudEvents:id',
    'cloudEvents_id',
    'holdfast:CC',
    'holdfast-tag',
    'holdfast-dead-code',
    '__proto__',
  ])('keeps an application header named %s apart from what that name means', (name) => {
    const headers = Object.fromEntries([[name, 'mine']]);
    const message = toWire(envelopeOf({ headers }));
    const back = read(delivered({ ...publishOptions(message).headers }, { contentType: message.contentType }));
    const envelope = envelopeFrom(back.attributes, back.body);
    expect(Object.entries(envelope.headers)).toEqual([[name, 'mine']]);
    expect(envelope.id).toBe('1');
  });
});

describe('a message of a foreign producer', () => {
  it('is read with either prefix, with numbers and times as text, and a time of its own when it brings none', () => {
    const back = read(
      delivered(
        {
          cloudEvents_id: 5,
          'cloudEvents:source': 'elsewhere',
          'cloudEvents:type': 'order.placed',
          retries: 3,
          flag: true,
          at: { '!': 'timestamp', value: 0 },
          'x-death': [{ count: 1 }],
          'x-first-death-queue': 'q',
        },
        { contentType: 'application/json; charset=utf-8', redelivered: true },
      ),
    );
    const envelope = envelopeFrom(back.attributes, back.body);
    expect(envelope).toMatchObject({ id: '5', source: 'elsewhere', type: 'order.placed', time: RECEIVED, kind: 'event' });
    expect({ ...envelope.headers }).toEqual({ retries: '3', flag: 'true', at: '1970-01-01T00:00:00.000Z' });
    expect(back).toMatchObject({ type: 'order.placed', isRedelivery: true, place: 'q/1/1' });
  });

  it.each<[string, Record<string, unknown>]>([
    ['no attributes', {}],
    ['a type with a NUL', { 'cloudEvents:type': 'a\0b' }],
    ['an attribute that is a table', { 'cloudEvents:id': { nested: 1n } }],
    ['an attribute that is bytes', { 'cloudEvents:type': Buffer.from('x') }],
    ['a time that is none', { 'cloudEvents:time': { '!': 'timestamp', value: Number.NaN } }],
    ['a time that is a table', { ...COMPLETE, 'cloudEvents:time': { '!': 'timestamp', value: BARE } }],
    ['a header that is a time without one', { ...COMPLETE, x: { '!': 'timestamp', value: BARE } }],
    ['a header that has no end', { ...COMPLETE, x: DEEP }],
    ['an attribute that has no end', { ...COMPLETE, 'cloudEvents:partitionkey': DEEP }],
    ['a header that takes itself for bytes', { ...COMPLETE, x: Object.setPrototypeOf({}, Buffer.from('x')) }],
    ['headers that cannot even be looked at', UNSPEAKABLE],
  ])('with %s is handed over all the same, so that it can be parked with its reason', (_what, headers) => {
    const back = read(delivered(headers));
    expect(back.type).not.toContain('\0');
    expect(() => envelopeFrom(back.attributes, back.body)).toThrow(expect.objectContaining({ category: 'contract' }));
  });

  it('of which a part cannot be told says which, and keeps the rest', () => {
    const { attributes } = read(delivered({ ...COMPLETE, tenant: 'a', x: DEEP }));
    expect(JSON.parse(attributes)).toMatchObject({
      id: '1',
      type: 'order.placed',
      headers: { tenant: 'a', x: { unreadable: expect.any(String) } },
    });
    expect(() => envelopeFrom(attributes, Buffer.alloc(0))).toThrow('"x"');
    expect(() => envelopeFrom(read(delivered(UNSPEAKABLE)).attributes, Buffer.alloc(0))).toThrow('cannot be read: no');
  });

  it('that says nothing of CloudEvents comes with its address and with what AMQP tells of it', () => {
    const foreign = delivered({ tenant: 'a', type: 'mine' });
    const properties = { messageId: 'm-1', type: 'Order', timestamp: 5, contentType: 'application/json' };
    const back = read({ ...foreign, properties: { ...foreign.properties, ...properties } as ConsumeMessage['properties'] });
    expect(JSON.parse(back.attributes)).toMatchObject({
      address: 'x/r',
      headers: { tenant: 'a', type: 'mine', 'message-id': 'm-1', timestamp: '5', 'content-type': 'application/json' },
    });
    const direct = read({ ...foreign, fields: { ...foreign.fields, exchange: '', routingKey: 'orders_queue' } });
    expect(JSON.parse(direct.attributes).address).toBe('orders_queue');
  });

  it.each<[string, Record<string, unknown>, string | undefined]>([
    ['one attribute', { cloudEvents_id: '1', 'cloudEvents:address': 'elsewhere' }, undefined],
    ['its attributes in the body', { address: 'elsewhere' }, 'Application/CloudEvents+json'],
  ])('with %s is no stranger, and has no address', (_what, headers, contentType) => {
    const attributes = JSON.parse(read(delivered(headers, { contentType })).attributes);
    expect(attributes).not.toHaveProperty('address');
    expect(attributes.headers).not.toHaveProperty('content-type');
  });

  it('without any headers is handed over', () => {
    const message = { ...delivered({}), properties: {} as ConsumeMessage['properties'] };
    expect(read(message)).toMatchObject({ type: '', attempts: 0 });
  });
});
