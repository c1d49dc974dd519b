import fc from 'fast-check';
import { z } from 'zod';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { decodeData, encodeData } from './codec.js';
import { limitsFrom } from './limits.js';
import { Message, type StandardSchema } from './message.js';
import { describeMessage, type MessageDescription } from './message-class.js';

@Message('note.taken')
class NoteTaken {
  constructor(readonly fields: Record<string, unknown>) {
    Object.assign(this, fields);
  }
}

@Message('order.placed', {
  version: 3,
  upcast: {
    1: (v1: { skus: string[] }) => ({ lines: v1.skus.map((sku) => ({ sku })) }),
    2: (v2: { lines: { sku: string }[] }) => ({ lines: v2.lines.map((line) => ({ ...line, amount: 1 })) }),
  },
})
class OrderPlaced {
  readonly lines: { sku: string; amount: number }[];
  constructor() {
    throw new Error('the constructor was run');
  }
  pieces(): number {
    return this.lines.reduce((sum, line) => sum + line.amount, 0);
  }
  get first(): string {
    return this.lines[0]?.sku ?? 'none';
  }
}

const note = describeMessage(NoteTaken);
const order = describeMessage(OrderPlaced);

function incoming(type: string, body: unknown, version = 1): { type: string; version: number; body: Uint8Array } {
  return { type, version, body: Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) };
}

function encodeText(message: object, description: MessageDescription = note): string {
  return (encodeData(message, description) as Buffer).toString();
}

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (isHoldfastError(error) && error.category === 'contract') return error.code;
    throw error;
  }
  return 'accepted';
}

function withSchema(validate: (value: unknown) => unknown): MessageDescription {
  return { ...note, schema: { '~standard': { version: 1, vendor: 'test', validate } } as StandardSchema<unknown> };
}

const plain = (fields: object): object => Object.assign(Object.create(NoteTaken.prototype) as object, fields);

describe('encodeData', () => {
  it('writes what JSON writes: no methods, functions, symbols or undefined', () => {
    const message = plain({ a: 1, f: () => 1, s: Symbol('s'), u: undefined, at: new Date(0), n: null, list: [undefined, 1] });
    expect(encodeText(message)).toBe('{"a":1,"at":"1970-01-01T00:00:00.000Z","n":null,"list":[null,1]}');
  });

  it('is the data at the moment of the call', () => {
    const message = plain({ lines: [1] }) as { lines: number[] };
    const body = encodeData(message, note) as Buffer;
    message.lines.push(2);
    expect(body.toString()).toBe('{"lines":[1]}');
  });

  it.each<[string, object, string]>([
    ['a BigInt', { lines: [{ amount: 1n }] }, 'lines[0].amount: a BigInt'],
    [
      'a cycle',
      (() => {
        const cycle: Record<string, unknown> = {};
        cycle.self = { cycle };
        return { cycle };
      })(),
      'cycle.self.cycle: contains itself',
    ],
    [
      'what is nested too deep',
      { deep: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) as object },
      'nested deeper than 64 levels, which is the limit',
    ],
    [
      'a getter that throws',
      {
        inner: {
          get x() {
            throw new Error('no');
          },
        },
      },
      'no form in JSON: no',
    ],
    [
      'a key that would change a prototype',
      JSON.parse('{"a":{"__proto__":{}}}') as object,
      'a.__proto__: a key that would change a prototype',
    ],
    ['toJSON that gives no object', { toJSON: () => 'text' }, 'the data must be an object'],
    [
      'a nesting that overflows the stack',
      { deep: JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as object },
      'nested deeper than 64 levels, which is the limit',
    ],
  ])('refuses %s, naming the place', (_, fields, reason) => {
    const message =
      'toJSON' in fields
        ? Object.create(NoteTaken.prototype, { toJSON: { value: fields.toJSON } })
        : Object.create(NoteTaken.prototype, Object.getOwnPropertyDescriptors(fields));
    expect(() => encodeData(message as object, note)).toThrow(
      expect.objectContaining({ code: 'HF_MESSAGE_INVALID', message: expect.stringContaining(reason) }),
    );
  });

  it.each<[string, string, object]>([
    ['a method', 'pieces', { pieces: 1 }],
    ['an accessor', 'first', { first: 'x' }],
    ['what all objects have', 'toString', { toString: 'x' }],
    ['a method, by its toJSON', 'pieces', { toJSON: () => ({ pieces: 1 }) }],
  ])('refuses a field that would hide %s, as its delivery would', (_, name, fields) => {
    const message = Object.create(OrderPlaced.prototype, Object.getOwnPropertyDescriptors(fields)) as object;
    expect(() => encodeData(message, order)).toThrow(
      expect.objectContaining({
        code: 'HF_MESSAGE_INVALID',
        message: expect.stringContaining(`${name}: the class has a method or an accessor of this name`),
      }),
    );
  });

  it('lets an instance have methods of its own, which are not sent', () => {
    const own = { lines: [], pieces: () => 2, first: undefined };
    const message = Object.create(OrderPlaced.prototype, Object.getOwnPropertyDescriptors(own)) as object;
    expect(encodeText(message, order)).toBe('{"lines":[]}');
    expect(encodeText(Object.assign(message, { toJSON: () => ({ lines: [1] }) }), order)).toBe('{"lines":[1]}');
  });

  it('refuses a body above the limit, in bytes', () => {
    const limits = limitsFrom({ bodyBytes: 14 });
    expect(() => encodeData(plain({ a: '12345678' }), note, limits)).toThrow(
      'The body of note.taken has 16 bytes, the limit is 14. Keep the large part elsewhere',
    );
    expect(() => encodeData(plain({ a: 'üüü' }), note, limits)).not.toThrow();
    expect(() => encodeData(plain({ a: 'üüüü' }), note, limits)).toThrow('has 16 bytes');
  });

  it('refuses a field that would hide a method also where a schema has made it', async () => {
    const validate = (value: object) => ({ value: { ...value, pieces: 1 } });
    const description = { ...order, schema: { '~standard': { version: 1, vendor: 'test', validate } } as StandardSchema<unknown> };
    expect(await codeOf(() => encodeData(Object.create(OrderPlaced.prototype) as object, description))).toBe('HF_MESSAGE_INVALID');
  });

  it('sends what has such a field until a schema drops it', () => {
    const validate = ({ lines }: { readonly lines: unknown }) => ({ value: { lines } });
    const description = { ...order, schema: { '~standard': { version: 1, vendor: 'test', validate } } as never as StandardSchema<unknown> };
    const message = Object.assign(Object.create(OrderPlaced.prototype) as object, { toJSON: () => ({ lines: [], pieces: 2 }) });
    expect(encodeText(message, description)).toBe('{"lines":[]}');
  });

  describe('with a schema', () => {
    const schema = z.object({ id: z.string().min(2), at: z.coerce.date(), note: z.string().default('none') });
    const description: MessageDescription = { ...note, schema: schema as StandardSchema<unknown> };

    it('sends what the schema gives back', () => {
      const message = plain({ id: 'm-1', at: new Date(0), secret: 'not in the schema' });
      expect(encodeText(message, description)).toBe('{"id":"m-1","at":"1970-01-01T00:00:00.000Z","note":"none"}');
    });

    it('refuses what the schema refuses, listing every issue', () => {
      const refused = expect.objectContaining({
        code: 'HF_MESSAGE_INVALID',
        message: expect.stringMatching(
          /^The data of note\.taken is not valid: \n {2}- id: .+; it is a text of 0\n {2}- at: .+; it is a text of 5\nMake the data fit/,
        ),
      });
      expect(() => encodeData(plain({ id: '', at: 'never' }), description)).toThrow(refused);
    });

    it('shows the schema what a reader will see: JSON', () => {
      const dates: MessageDescription = { ...note, schema: z.object({ at: z.date() }) as StandardSchema<unknown> };
      expect(() => encodeData(plain({ at: new Date(0) }), dates)).toThrow(expect.objectContaining({ code: 'HF_MESSAGE_INVALID' }));
    });

    it('is a promise only when the schema is asynchronous', async () => {
      const asynchronous = withSchema(async (value) => ({ value }));
      expect(encodeData(plain({ a: 1 }), asynchronous)).toBeInstanceOf(Promise);
      expect(String(await encodeData(plain({ a: 1 }), asynchronous))).toBe('{"a":1}');
      expect(encodeData(plain({ id: 'm-1', at: new Date(0) }), description)).toBeInstanceOf(Buffer);
    });
  });
});

describe('decodeData', () => {
  it('gives an instance without running the constructor: methods and accessors work', () => {
    const message = decodeData(incoming('order.placed', { lines: [{ sku: 'a', amount: 2 }] }, 3), [note, order]) as OrderPlaced;
    expect(message).toBeInstanceOf(OrderPlaced);
    expect([message.pieces(), message.first]).toEqual([2, 'a']);
  });

  it('brings older data up to date, version by version', () => {
    const message = decodeData(incoming('order.placed', { skus: ['a', 'b'] }, 1), [order]) as OrderPlaced;
    expect(message.lines).toEqual([
      { sku: 'a', amount: 1 },
      { sku: 'b', amount: 1 },
    ]);
  });

  it('chooses the class by the type', () => {
    expect(decodeData(incoming('note.taken', { a: 1 }), [order, note])).toBeInstanceOf(NoteTaken);
  });

  it('keeps fields the class does not know when there is no schema', () => {
    expect(decodeData(incoming('note.taken', { later: 1 }), [note])).toEqual(plain({ later: 1 }));
  });

  it('takes NUL and half surrogate pairs in data, where JSON escapes them', () => {
    const body = encodeData(plain({ text: '\0\ud800' }), note) as Buffer;
    expect(decodeData(incoming('note.taken', body), [note])).toEqual(plain({ text: '\0\ud800' }));
  });

  it('takes a byte order mark', () => {
    expect(decodeData(incoming('note.taken', '\ufeff{"a":1}'), [note])).toEqual(plain({ a: 1 }));
  });

  it.each<[string, unknown, number, string]>([
    ['an unknown type', { type: 'other' }, 1, 'HF_MESSAGE_UNKNOWN_TYPE'],
    ['an empty body', '', 1, 'HF_MESSAGE_UNREADABLE'],
    ['no JSON', '{"a":', 1, 'HF_MESSAGE_UNREADABLE'],
    ['no UTF-8', Buffer.from('{"a":"\xff"}', 'latin1'), 1, 'HF_MESSAGE_UNREADABLE'],
    ['a list', '[1]', 1, 'HF_MESSAGE_UNREADABLE'],
    ['a text', '"x"', 1, 'HF_MESSAGE_UNREADABLE'],
    ['null', 'null', 1, 'HF_MESSAGE_UNREADABLE'],
    ['65 levels', `{"a":${'['.repeat(64)}${']'.repeat(64)}}`, 1, 'HF_MESSAGE_UNREADABLE'],
    ['10,000 levels', `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 1, 'HF_MESSAGE_UNREADABLE'],
    ['64 levels', `{"a":${'['.repeat(63)}${']'.repeat(63)}}`, 1, 'accepted'],
    ['__proto__', '{"__proto__":{"polluted":true}}', 1, 'HF_MESSAGE_UNREADABLE'],
    ['__proto__, escaped and inside', '{"a":{"\\u005f_proto__":{"polluted":true}}}', 1, 'HF_MESSAGE_UNREADABLE'],
    ['constructor.prototype', '{"constructor":{"prototype":{"polluted":true}}}', 1, 'HF_MESSAGE_UNREADABLE'],
    ['constructor', '{"constructor":"x"}', 1, 'HF_MESSAGE_INVALID'],
    ['toString', '{"toString":"x"}', 1, 'HF_MESSAGE_INVALID'],
    ['a newer version', '{}', 2, 'HF_MESSAGE_VERSION'],
    ['version 0', '{}', 0, 'HF_MESSAGE_VERSION'],
    ['version 1.5', '{}', 1.5, 'HF_MESSAGE_VERSION'],
    ['a body above the limit', `{"a":"${'x'.repeat(2 ** 20)}"}`, 1, 'HF_MESSAGE_TOO_LARGE'],
  ])('judges %s', async (_, body, version, code) => {
    const type = typeof body === 'object' && body !== null && 'type' in body ? (body as { type: string }).type : 'note.taken';
    expect(await codeOf(() => decodeData(incoming(type, body, version), [note]))).toBe(code);
    expect({}).not.toHaveProperty('polluted');
  });

  it.each(['pieces', 'first'])('refuses a field that would hide the method or accessor %s', (name) => {
    expect(() => decodeData(incoming('order.placed', { lines: [], [name]: 1 }, 3), [order])).toThrow(
      expect.objectContaining({
        code: 'HF_MESSAGE_INVALID',
        message: expect.stringContaining(`${name}: the class has a method or an accessor`),
      }),
    );
  });

  it('says which versions cannot be bridged', () => {
    const gap = { ...order, upcast: { 2: (data: never) => data as object } };
    expect(() => decodeData(incoming('order.placed', {}, 1), [gap])).toThrow(
      'Version 1 of order.placed cannot be brought to version 3, the one OrderPlaced declares.',
    );
  });

  it.each<[string, (data: never) => unknown]>([
    [
      'throws',
      () => {
        throw new TypeError('skus is undefined');
      },
    ],
    ['gives nothing', () => undefined],
    ['gives a list', () => []],
    ['gives a promise', async () => ({})],
    ['gives a promise that rejects', () => Promise.reject(new Error('no'))],
  ])('parks a message whose upcast %s', async (_, upcast) => {
    const description = { ...order, version: 2, upcast: { 1: upcast as (data: never) => object } };
    expect(await codeOf(() => decodeData(incoming('order.placed', {}, 1), [description]))).toBe('HF_MESSAGE_INVALID');
  });

  it('says that an upcast must be synchronous', () => {
    const description = { ...order, version: 2, upcast: { 1: async () => ({}) } };
    expect(() => decodeData(incoming('order.placed', {}, 1), [description])).toThrow(
      'the upcast of version 1 gave a promise: it must be synchronous',
    );
  });

  describe('with a schema', () => {
    it('gives the instance what the schema gives back', () => {
      const description: MessageDescription = { ...note, schema: z.object({ at: z.coerce.date() }) as StandardSchema<unknown> };
      expect(decodeData(incoming('note.taken', { at: '1970-01-01T00:00:00Z', other: 1 }), [description])).toEqual(
        plain({ at: new Date(0) }),
      );
    });

    it('gives a promise only when the schema is asynchronous', async () => {
      const decoded = decodeData(incoming('note.taken', { a: 1 }), [withSchema(async (value) => ({ value }))]);
      expect(decoded).toBeInstanceOf(Promise);
      expect(await decoded).toEqual(plain({ a: 1 }));
    });

    it.each<[string, (value: unknown) => unknown]>([
      [
        'throws',
        () => {
          throw new Error('no');
        },
      ],
      ['rejects', () => Promise.reject(new Error('no'))],
      ['finds issues', () => ({ issues: [{ message: 'no', path: ['a', { key: 'b' }] }] })],
      ['finds issues later', async () => ({ issues: [{ message: 'no' }] })],
      ['gives nonsense', () => undefined],
      ['gives a text', () => ({ value: 'text' })],
      ['gives issues that are none', () => ({ issues: [null, { message: Symbol('no') }] })],
    ])('parks a message whose schema %s', async (_, validate) => {
      expect(await codeOf(() => decodeData(incoming('note.taken', {}), [withSchema(validate)]))).toBe('HF_MESSAGE_INVALID');
    });

    it('names the path of an issue', () => {
      const description = withSchema(() => ({ issues: [{ message: 'too small', path: ['lines', 0, { key: 'amount' }] }] }));
      expect(() => decodeData(incoming('note.taken', {}), [description])).toThrow(
        'The data of note.taken is not valid: lines.0.amount: too small.',
      );
    });

    it.each<[string, unknown, readonly PropertyKey[], string]>([
      ['a number', -1, ['at'], 'at: no; it is -1'],
      ['a truth value', false, ['at'], 'at: no; it is false'],
      ['the length of a text', 'never', ['at'], 'at: no; it is a text of 5'],
      ['null', null, ['at'], 'at: no; it is null'],
      ['an array', [1, 2], ['at'], 'at: no; it is an array of 2'],
      ['an object', { secret: 'deep' }, ['at'], 'at: no; it is an object'],
      ['nothing', {}, ['at', 'day'], 'at.day: no.'],
      ['what all objects have', {}, ['at', 'constructor'], 'at.constructor: no.'],
      ['the data', 1, [], 'no'],
    ])('shows %s that was found there', (_, at, path, text) => {
      const description = withSchema(() => ({ issues: [{ message: 'no.', path }] }));
      const shown = expect.objectContaining({ details: expect.objectContaining({ issues: [path.length === 0 ? 'no.' : text] }) });
      expect(() => decodeData(incoming('note.taken', { at }), [description])).toThrow(shown);
      expect(() => encodeData(plain({ at }), description)).toThrow(shown);
    });

    it.each([['password'], ['accessToken'], ['card', 'number'], ['userPin'], ['confirm']])('shows nothing of %s.%s', (...names) => {
      const description = withSchema(() => ({ issues: [{ message: 'too short', path: names }] }));
      const hidden = (value: unknown) => names.reduceRight((inner, name) => ({ [name]: inner }), value);
      const refusal = (value: unknown) => () => decodeData(incoming('note.taken', hidden(value) as object), [description]);
      expect(refusal('hunter2')).toThrow(`The data of note.taken is not valid: ${names.join('.')}: too short; it is a text of 7.`);
      if (names[0] !== 'confirm') expect(refusal(1234)).toThrow(/; it is a number\./);
    });
  });
});

describe('the codec', () => {
  const reserved = new Set(Object.getOwnPropertyNames(Object.prototype));
  const hasReserved = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && Object.entries(value).some(([key, child]) => reserved.has(key) || hasReserved(child));
  const data = fc
    .dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 }), { noNullPrototype: true })
    .filter((value) => !hasReserved(value));

  it('gives back what was sent, for any JSON data', () => {
    fc.assert(
      fc.property(data, (fields) => {
        const sent = Object.create(NoteTaken.prototype, Object.getOwnPropertyDescriptors(fields)) as object;
        const received = decodeData(incoming('note.taken', encodeData(sent, note)), [note]);
        expect(JSON.stringify(received)).toBe(JSON.stringify(fields));
      }),
    );
  });

  it('throws nothing but contract errors and never changes Object.prototype, for any bytes', async () => {
    const before = Reflect.ownKeys(Object.prototype);
    const nasty = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', 'lines', 'skus', '');
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 6 },
        fc.jsonValue(),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.array(fc.tuple(nasty, tie('any')), { maxLength: 4 }).map(asJsonObject),
      ),
    })).any;
    const text = value.map((one) =>
      one instanceof RawJson ? one.text : JSON.stringify(one, (_, inner: unknown) => (inner instanceof RawJson ? undefined : inner)),
    );
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.oneof(fc.string({ unit: 'binary' }), fc.json(), text).map((one) => Buffer.from(one ?? 'null')),
    );
    await fc.assert(
      fc.asyncProperty(
        body,
        fc.oneof(fc.nat(4), fc.double()),
        fc.constantFrom('order.placed', 'note.taken', 'other'),
        async (bytes, version, type) => {
          await codeOf(() => decodeData({ type, version, body: bytes }, [order, note]));
          expect(Reflect.ownKeys(Object.prototype)).toEqual(before);
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** JSON text with keys that an object literal could not carry. */
class RawJson {
  constructor(readonly text: string) {}
}

function asJsonObject(entries: [string, unknown][]): RawJson {
  const textOf = (value: unknown): string =>
    value instanceof RawJson ? value.text : Array.isArray(value) ? `[${value.map(textOf).join(',')}]` : JSON.stringify(value);
  return new RawJson(`{${entries.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(',')}}`);
}
