import fc from 'fast-check';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { readArrival, structuredType } from './arrival.js';
import { envelopeFrom } from './envelope.js';
import type { ReadForeign } from './foreign.js';
import { limitsFrom } from './limits.js';

const RECEIVED = '2026-01-02T03:04:05.678Z';
const limits = limitsFrom({ bodyBytes: 1000, depth: 3 });

interface Given {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly body?: string | Uint8Array;
  readonly readForeign?: ReadForeign;
}

function read({ attributes, body = '{}', readForeign }: Given) {
  const arrived = { attributes: JSON.stringify({ time: RECEIVED, headers: {}, ...attributes }), body: Buffer.from(body) };
  const arrival = readArrival(arrived, { limits, readForeign });
  const envelope = envelopeFrom(arrival.attributes, arrival.body, { limits });
  return { ...envelope, headers: { ...envelope.headers }, body: Buffer.from(envelope.body).toString(), isMapped: arrival.isMapped };
}

function refusal(given: Given): string {
  try {
    return JSON.stringify(read(given));
  } catch (error) {
    if (isHoldfastError(error) && error.category === 'contract') return `${error.code}: ${error.message}`;
    throw error;
  }
}

const event = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed' };
const structured = { datacontenttype: 'application/cloudevents+json; charset=utf-8' };

describe('an event in structured mode', () => {
  it('is read out of the body, with the time it came when it brings none, and the headers beside it', () => {
    const body = JSON.stringify({ ...event, partitionkey: 7, data: { n: 1 } });
    expect(read({ attributes: { ...structured, headers: { tenant: 'a' } }, body })).toMatchObject({
      id: 'e-1',
      source: '/shop',
      type: 'order.placed',
      key: '7',
      time: new Date(RECEIVED),
      headers: { tenant: 'a' },
      body: '{"n":1}',
      isMapped: false,
    });
  });

  it('may have its data in base64', () => {
    const body = JSON.stringify({ ...event, time: '2020-01-01T00:00:00Z', data_base64: Buffer.from('{"n":2}').toString('base64') });
    expect(read({ attributes: structured, body })).toMatchObject({ time: new Date('2020-01-01T00:00:00Z'), body: '{"n":2}' });
  });

  it.each<[string, string | Uint8Array, string, string]>([
    ['a batch', '[]', 'application/cloudevents-batch+json', 'HF_MESSAGE_UNREADABLE'],
    ['another format', '{}', 'application/cloudevents+avro', 'HF_MESSAGE_UNREADABLE'],
    ['no JSON', 'hello', 'Application/CloudEvents+JSON', 'HF_MESSAGE_UNREADABLE'],
    ['a list', '[1]', structured.datacontenttype, 'HF_MESSAGE_UNREADABLE'],
    ['null', 'null', structured.datacontenttype, 'HF_MESSAGE_UNREADABLE'],
    ['no UTF-8', Buffer.from([0xff]), structured.datacontenttype, 'HF_MESSAGE_UNREADABLE'],
    ['too deep', '[[[[[]]]]]', structured.datacontenttype, 'HF_MESSAGE_UNREADABLE'],
    ['too large', ' '.repeat(1001), structured.datacontenttype, 'HF_MESSAGE_TOO_LARGE'],
    ['no attributes', '{}', structured.datacontenttype, 'HF_MESSAGE_ID'],
    [
      'data of another kind',
      JSON.stringify({ ...event, datacontenttype: 'text/xml', data: '<a/>' }),
      structured.datacontenttype,
      'HF_MESSAGE_UNREADABLE',
    ],
  ])('that is %s is refused with the reason', (_what, body, datacontenttype, code) => {
    expect(refusal({ attributes: { datacontenttype }, body })).toContain(code);
  });
});

describe('a message without attributes of CloudEvents', () => {
  const foreign = { address: 'legacy/orders' };
  const order = { id: 'l-1', source: 'legacy', type: 'order.placed', data: { n: 1 } };

  it('is what readForeign says, which sees its address, the headers that are texts, and the body', () => {
    const seen: unknown[] = [];
    const readForeign: ReadForeign = (raw) => {
      seen.push({ ...raw, headers: { ...raw.headers }, body: Buffer.from(raw.body).toString() });
      return { ...order, key: 'k', time: new Date(0) };
    };
    const found = read({ attributes: { ...foreign, headers: { a: 'b', list: [1] } }, body: 'n=1', readForeign });
    expect(seen).toEqual([{ address: 'legacy/orders', headers: { a: 'b' }, body: 'n=1' }]);
    expect(found).toMatchObject({ ...expected(), key: 'k', time: new Date(0), headers: { a: 'b' } });
  });

  const expected = () => ({
    id: 'l-1',
    source: 'legacy',
    type: 'order.placed',
    version: 1,
    kind: 'event',
    body: '{"n":1}',
    isMapped: true,
  });

  it('has the time it came and headers of its own when readForeign says so', () => {
    const readForeign: ReadForeign = () => ({ ...order, headers: { own: '1' } });
    expect(read({ attributes: { ...foreign, headers: { a: 'b' } }, readForeign })).toMatchObject({
      ...expected(),
      time: new Date(RECEIVED),
      headers: { own: '1' },
    });
  });

  it.each<[string, unknown, string]>([
    [
      'there is none',
      'none',
      'HF_MESSAGE_FOREIGN: The message sent to legacy/orders cannot be read: it has no attributes of CloudEvents, and the bus has no readForeign.',
    ],
    [
      'it throws',
      () => {
        throw new SyntaxError('no such order');
      },
      'readForeign threw: no such order',
    ],
    [
      'it throws no error',
      () => {
        throw null;
      },
      'readForeign threw: null',
    ],
    ['it does not know it', () => undefined, 'readForeign does not know it'],
    ['it gives a text', () => 'order', 'readForeign gave order, not { id, source, type, data }'],
    ['it gives a list', () => [], 'readForeign gave [], not'],
    [
      'it gives a promise',
      async () => {
        throw new Error('late');
      },
      'readForeign gave a promise',
    ],
    ['it gives no data', () => ({ ...order, data: undefined }), 'it has no data'],
    ['it gives data without a form in JSON', () => ({ ...order, data: { n: 1n } }), 'BigInt'],
    ['it gives a time that is none', () => ({ ...order, time: new Date(Number.NaN) }), 'Invalid time value'],
    ['it gives a text as time', () => ({ ...order, time: 'today' }), 'time is no Date: today'],
    [
      'it throws when it is looked at',
      () =>
        new Proxy(
          {},
          {
            get: () => {
              throw new Error('not you');
            },
          },
        ),
      'not you',
    ],
    ['it gives an empty id', () => ({ ...order, id: '' }), 'HF_MESSAGE_ID: The message id cannot be used: it is empty'],
    ['it gives a number as type', () => ({ ...order, type: 5 }), 'HF_MESSAGE_ID: The type of a message'],
    ['it gives headers that are numbers', () => ({ ...order, headers: { n: 5 } }), 'HF_MESSAGE_HEADERS'],
  ])('is refused with the reason when %s', (_what, readForeign, text) => {
    expect(refusal({ attributes: foreign, readForeign: readForeign === 'none' ? undefined : (readForeign as ReadForeign) })).toContain(
      text,
    );
  });

  it('is only asked about what is none: an event is read as it is', () => {
    const readForeign = jest.fn();
    expect(read({ attributes: { ...event }, readForeign })).toMatchObject({ id: 'e-1', isMapped: false });
    expect(readForeign).not.toHaveBeenCalled();
  });
});

describe('the type of an event in structured mode, before it is read', () => {
  const typeIn = (body: string | Uint8Array, contentType: unknown = 'application/cloudevents+json; charset=utf-8') =>
    structuredType(contentType, typeof body === 'string' ? Buffer.from(body) : body);

  it('is the one in the body', () => {
    expect([typeIn('{"type":"a.b"}'), typeIn('\ufeff{"type":"a.b","data":{"type":"c"}}')]).toEqual(['a.b', 'a.b']);
  });

  it.each([null, 5, 'application/json', 'text/plain'])('is not asked for where the mode is another one: %p', (contentType) => {
    expect(typeIn('{"type":"a.b"}', contentType)).toBeUndefined();
  });

  it.each(['', '{', 'null', '5', '[]', '{"type":5}', '{"data":1}'])('is empty where it cannot be told: %p', (body) => {
    expect(typeIn(body)).toBe('');
  });

  it('is empty for events in batches, and for one that nobody could take', () => {
    expect(typeIn('[{"type":"a.b"}]', 'application/cloudevents-batch+json')).toBe('');
    expect(typeIn(Buffer.from(`{"type":"a.b"}${' '.repeat(2 ** 24)}`))).toBe('');
  });

  it('is that of a body which is a part of a larger buffer', () => {
    const all = Buffer.from('..{"type":"a.b"}..');
    expect(typeIn(new Uint8Array(all.buffer, all.byteOffset + 2, all.byteLength - 4))).toBe('a.b');
  });
});

describe('whatever arrives, and whatever readForeign makes of it', () => {
  it('is read, or refused with an error of the contract', () => {
    const attributes = fc.record(
      {
        address: fc.oneof(fc.string(), fc.jsonValue()),
        datacontenttype: fc.oneof(
          fc.constantFrom('application/json', structured.datacontenttype, 'application/cloudevents'),
          fc.jsonValue(),
        ),
        headers: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
        time: fc.oneof(fc.constant(RECEIVED), fc.jsonValue()),
        id: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const body = fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from), fc.constant(Buffer.from(JSON.stringify({ ...event, data: {} }))));
    const made = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
      fc.record({ ...mapped(), data: fc.anything() }),
    );
    fc.assert(
      fc.property(attributes, body, made, (found, bytes, given) => {
        const arrived = { attributes: JSON.stringify(found), body: bytes };
        try {
          const arrival = readArrival(arrived, { limits, readForeign: () => given as ReturnType<ReadForeign> });
          envelopeFrom(arrival.attributes, arrival.body, { limits });
        } catch (error) {
          if (!isHoldfastError(error) || error.category !== 'contract') throw error;
        }
      }),
      // The time of the example has no text of its own.
      { numRuns: 2000, examples: [[{ address: '', time: { toString: 0 } }, new Uint8Array(), []]] },
    );
  });

  const mapped = () => ({
    id: fc.string(),
    source: fc.string(),
    type: fc.string(),
    time: fc.option(fc.date()),
    headers: fc.option(fc.anything()),
  });
});
