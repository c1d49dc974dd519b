import fc from 'fast-check';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { type Attributes, attributesOf, dataSchemaOf, envelopeFrom, versionOf } from './attributes.js';
import type { Envelope } from './envelope.js';
import { limitsFrom } from './limits.js';

const body = Buffer.from('{}');
const minimal = { id: 'm-1', source: 'orders', type: 'order.placed', time: '2030-01-01T00:00:00Z' };

function codeOf(attributes: string | Attributes): string {
  try {
    envelopeFrom(attributes, body);
  } catch (error) {
    if (isHoldfastError(error) && error.category === 'contract') return error.code;
    throw error;
  }
  return 'accepted';
}

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((value) => value.length <= 255 && !value.includes('\0'));
const maybe = fc.option(text, { nil: undefined });
const envelopes: fc.Arbitrary<Envelope> = fc.record({
  id: text,
  source: text,
  type: text,
  version: fc.integer({ min: 1, max: 999_999_999 }),
  key: maybe,
  time: fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true }),
  dueAt: fc.option(fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true }), { nil: undefined }),
  destination: maybe,
  headers: fc.dictionary(
    text,
    fc.string({ maxLength: 20 }).filter((value) => !value.includes('\0')),
    { maxKeys: 5 },
  ),
  correlationId: text,
  causationId: maybe,
  sagaId: maybe,
  traceparent: maybe,
  replyTo: maybe,
  compensates: maybe,
  compensatesType: maybe,
  compensatesTime: fc.option(fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true }), { nil: undefined }),
  hasRun: fc.constantFrom(true as const, undefined),
  wantsReceipt: fc.constantFrom(true, undefined),
  kind: fc.constantFrom('event' as const, 'command' as const),
  contentType: fc.constant('application/json' as const),
  body: fc.constant(body),
});

describe('attributesOf', () => {
  it.each([7, '1', 'soon', {}, '2030-13-01T00:00:00Z', null])('takes no notice of a duetime that is no time: %p', (duetime) => {
    expect(envelopeFrom({ ...minimal, duetime }, body).dueAt).toBeUndefined();
  });

  it('writes the names of CloudEvents, flat, without the body', () => {
    const envelope = envelopeFrom(
      {
        ...minimal,
        partitionkey: 'o-1',
        dataschema: dataSchemaOf('order.placed', 2),
        correlationid: 'c-1',
        kind: 'command',
        headers: { tenant: 'acme' },
      },
      body,
    );
    expect(JSON.parse(attributesOf(envelope))).toEqual({
      specversion: '1.0',
      id: 'm-1',
      source: 'orders',
      type: 'order.placed',
      time: '2030-01-01T00:00:00.000Z',
      datacontenttype: 'application/json',
      dataschema: 'urn:holdfast:order.placed:2',
      partitionkey: 'o-1',
      correlationid: 'c-1',
      kind: 'command',
      headers: { tenant: 'acme' },
    });
  });

  it('leaves out what a reader takes for granted', () => {
    const written = JSON.parse(attributesOf(envelopeFrom({ ...minimal, correlationid: minimal.id, kind: 'event' }, body)));
    expect(Object.keys(written).sort()).toEqual([
      'datacontenttype',
      'dataschema',
      'headers',
      'id',
      'source',
      'specversion',
      'time',
      'type',
    ]);
  });

  it('is read back as it was, for any envelope', () => {
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const back = envelopeFrom(attributesOf(envelope), body);
        expect({ ...back, headers: { ...back.headers } }).toEqual({ ...envelope, headers: { ...envelope.headers } });
      }),
    );
  });
});

describe('envelopeFrom', () => {
  it('takes the least that CloudEvents asks for', () => {
    const envelope = envelopeFrom(minimal, body);
    expect(envelope).toMatchObject({ id: 'm-1', source: 'orders', type: 'order.placed', version: 1, kind: 'event', correlationId: 'm-1' });
    expect(envelope.key).toBeUndefined();
    expect(Object.getPrototypeOf(envelope.headers)).toBeNull();
    expect(envelope.body).toBe(body);
  });

  it('drops attributes it does not know, also dangerous ones', () => {
    const envelope = envelopeFrom(
      '{"id":"m-1","source":"orders","type":"a","time":"2030-01-01T00:00:00Z","other":1,"__proto__":{"polluted":1}}',
      body,
    );
    expect(envelope).not.toHaveProperty('other');
    expect(envelope).not.toHaveProperty('polluted');
    expect({}).not.toHaveProperty('polluted');
  });

  it.each(['false', false, 'yes', 1, null, {}])('takes %p for no word that a request was handled', (ran) => {
    expect(envelopeFrom({ ...minimal, compensates: 'm-0', ran }, body).hasRun).toBeUndefined();
  });

  it('keeps a header called __proto__ as a header', () => {
    const envelope = envelopeFrom(`{"id":"m-1","source":"s","type":"t","time":"2030-01-01T00:00:00Z","headers":{"__proto__":"x"}}`, body);
    expect(Object.keys(envelope.headers)).toEqual(['__proto__']);
  });

  it('uses the moment of receipt where a foreign producer gave no time', () => {
    const receivedAt = new Date('2030-05-05T00:00:00Z');
    expect(envelopeFrom({ ...minimal, time: undefined }, body, { receivedAt }).time).toEqual(receivedAt);
  });

  it.each([
    [{ ...minimal, id: undefined }, 'HF_MESSAGE_ID'],
    [{ ...minimal, id: '' }, 'HF_MESSAGE_ID'],
    [{ ...minimal, id: 7 }, 'HF_MESSAGE_ID'],
    [{ ...minimal, id: 'a\0b' }, 'HF_MESSAGE_ID'],
    [{ ...minimal, id: '\ud800' }, 'HF_MESSAGE_ID'],
    [{ ...minimal, id: 'x'.repeat(256) }, 'HF_MESSAGE_ID'],
    [{ ...minimal, source: undefined }, 'HF_MESSAGE_ID'],
    [{ ...minimal, type: undefined }, 'HF_MESSAGE_ID'],
    [{ ...minimal, partitionkey: ['a'] }, 'HF_MESSAGE_ID'],
    [{ ...minimal, partitionkey: 'x'.repeat(256) }, 'HF_MESSAGE_ID'],
    [{ ...minimal, correlationid: {} }, 'HF_MESSAGE_ID'],
    [{ ...minimal, compensates: 7 }, 'HF_MESSAGE_ID'],
    [{ ...minimal, compensates: '' }, 'HF_MESSAGE_ID'],
    [{ ...minimal, time: undefined }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, time: '1' }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, time: '2030-13-01T00:00:00Z' }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, time: 1893456000000 }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, kind: 'job' }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, datacontenttype: 'application/xml' }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, datacontenttype: 7 }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, datacontenttype: 'application/json; charset=utf-8' }, 'accepted'],
    [{ ...minimal, datacontenttype: 'application/vnd.order+json' }, 'accepted'],
    [{ ...minimal, dataschema: 'urn:holdfast:a:0' }, 'HF_MESSAGE_UNREADABLE'],
    [{ ...minimal, headers: { a: 1 } }, 'HF_MESSAGE_HEADERS'],
    [{ ...minimal, headers: { a: 'x\0' } }, 'HF_MESSAGE_HEADERS'],
    [{ ...minimal, headers: { '': 'x' } }, 'HF_MESSAGE_HEADERS'],
    [{ ...minimal, headers: { a: '' } }, 'accepted'],
    [{ ...minimal, headers: ['x'] }, 'HF_MESSAGE_HEADERS'],
    [{ ...minimal, headers: 'x' }, 'HF_MESSAGE_HEADERS'],
    [{ ...minimal, headers: { a: 'x'.repeat(2 ** 15) } }, 'HF_MESSAGE_HEADERS'],
    [{ ...minimal, headers: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [index, 'x'])) }, 'HF_MESSAGE_HEADERS'],
    ['', 'HF_MESSAGE_UNREADABLE'],
    ['{"id":', 'HF_MESSAGE_UNREADABLE'],
    ['[]', 'HF_MESSAGE_UNREADABLE'],
    ['null', 'HF_MESSAGE_UNREADABLE'],
    ['"text"', 'HF_MESSAGE_UNREADABLE'],
  ])('judges %j as %s', (attributes, code) => {
    expect(codeOf(attributes)).toBe(code);
  });

  it('goes by the limits it is given', () => {
    const limits = limitsFrom({ idLength: 3 });
    expect(() => envelopeFrom({ ...minimal, id: 'abcd' }, body, { limits })).toThrow(
      'The message id cannot be used: it has 4 characters, the limit is 3: abcd. Give a text of 1 to 3 characters',
    );
  });

  it('throws nothing but contract errors, for any attributes', () => {
    const names = fc.constantFrom('id', 'source', 'type', 'time', 'headers', 'dataschema', 'kind', 'datacontenttype', 'partitionkey');
    const damaged = fc.dictionary(names, fc.anything()).map((attributes) => ({ ...minimal, ...attributes }));
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), damaged), (attributes) => /^(HF_MESSAGE_|accepted)/.test(codeOf(attributes))));
  });
});

describe('versionOf', () => {
  it('reads what dataSchemaOf wrote, for any type', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 999_999_999 }), (type, version) => {
        expect(versionOf(dataSchemaOf(type, version))).toBe(version);
        expect(dataSchemaOf(type, version)).toMatch(/^urn:holdfast:[\w.!~*'()%-]+:\d+$/);
      }),
    );
  });

  it.each([undefined, null, 7, 'https://example.com/schemas/order/2.json'])('is 1 for %p', (dataSchema) => {
    expect(versionOf(dataSchema)).toBe(1);
  });
});
