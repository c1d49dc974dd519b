import fc from 'fast-check';
import { escapeControls, printable, readProperty } from './printable.js';

describe('printable', () => {
  it.each([
    ['text', 'text'],
    [12, '12'],
    [10n, '10n'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'Symbol(s)'],
    [class Order {}, 'Order'],
    [() => 1, 'an anonymous function'],
    [new Error('no'), 'no'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [new Date(Number.NaN), 'Invalid Date'],
    [Buffer.from('abc'), '3 bytes'],
    [{ a: [1] }, '{"a":[1]}'],
  ])('prints %p as %s', (value, text) => {
    expect(printable(value)).toBe(text);
  });

  it('prints what cannot be serialised', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    expect(printable(cycle)).toBe('(unprintable object)');
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(printable(proxy)).toBe('(unprintable object)');
  });

  it('is one bounded line without control characters, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 500 }), fc.integer({ min: 10, max: 300 }), (text, maxLength) => {
        const printed = printable(text, maxLength);
        expect(printed.length).toBeLessThanOrEqual(maxLength);
        expect(printed).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });

  it('never throws, for any value', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }),
        (value) => typeof printable(value) === 'string',
      ),
    );
  });
});

describe('escapeControls', () => {
  it('escapes line breaks, ANSI sequences, text direction marks and half surrogate pairs', () => {
    expect(escapeControls('a\r\n\u001b[2J\u202e\ud800b')).toBe('a\\r\\n\\u001b[2J\\u202e\\ud800b');
  });

  it('leaves letters of all languages and emoji alone', () => {
    expect(escapeControls('Ünïcödé 漢字 🙂')).toBe('Ünïcödé 漢字 🙂');
  });
});

describe('readProperty', () => {
  it('is undefined when the getter throws', () => {
    const value = {
      get code(): string {
        throw new Error('no');
      },
    };
    expect(readProperty(value, 'code')).toBeUndefined();
  });
});
