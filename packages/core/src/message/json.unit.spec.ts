import fc from 'fast-check';
import { depthFault, depthOf, isNestedDeeper, pollutingPath, unserialisable } from './json.js';

function levelsOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(levelsOf));
}

describe('isNestedDeeper', () => {
  it('agrees with the depth of the parsed value, for any JSON', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 6, noUnicodeString: false } as fc.JsonSharedConstraints),
        fc.integer({ min: 1, max: 6 }),
        (text, limit) => {
          expect(isNestedDeeper(text, limit)).toBe(levelsOf(JSON.parse(text)) > limit);
          expect(depthOf(text)).toBe(levelsOf(JSON.parse(text)));
        },
      ),
    );
  });

  it('does not count brackets in strings', () => {
    expect(isNestedDeeper(JSON.stringify({ text: '[[[[[["[[[[\\"[[[' }), 1)).toBe(false);
  });

  it('measures a hundred thousand levels without recursion', () => {
    expect(isNestedDeeper('['.repeat(100_000), 64)).toBe(true);
    expect(depthFault('['.repeat(100_000), 64)).toBe('it is nested 100000 levels deep, the limit is 64');
  });
});

describe('pollutingPath', () => {
  it.each([
    ['{"__proto__":{"a":1}}', '__proto__'],
    ['{"a":[{"b":{"__proto__":1}}]}', 'a[0].b.__proto__'],
    ['{"__pro\\u0074o__":1}', '__proto__'],
    ['{"constructor":{"prototype":{"a":1}}}', 'constructor.prototype'],
    ['{"\\u0063onstructor":{"prototype":1}}', 'constructor.prototype'],
  ])('finds the key in %s', (text, path) => {
    expect(pollutingPath(text)).toBe(path);
    expect(pollutingPath(text, JSON.parse(text))).toBe(path);
  });

  it.each(['{"a":"__proto__"}', '{"constructor":"Renault"}', '{"constructor":{"name":"Renault"}}', '{"prototype":1}', '{"a":"\\u0000"}'])(
    'finds nothing in %s',
    (text) => {
      expect(pollutingPath(text)).toBeUndefined();
    },
  );
});

describe('unserialisable', () => {
  it('names the path of a BigInt, of a cycle, and of what is too deep', () => {
    const cycle: Record<string, unknown> = {};
    cycle.inner = { back: [cycle] };
    expect(unserialisable({ lines: [{ amount: 10n }] }, 64)).toBe('lines[0].amount: a BigInt has no form in JSON, send it as text');
    expect(unserialisable(cycle, 64)).toBe('inner.back[0]: contains itself');
    expect(unserialisable({ a: { b: {} } }, 2)).toBe('a.b: nested deeper than 2 levels, which is the limit');
    expect(unserialisable(1n, 64)).toBe('the data: a BigInt has no form in JSON, send it as text');
  });

  it('finds nothing in an object that is used twice', () => {
    const shared = { a: 1 };
    expect(unserialisable({ first: shared, second: shared }, 64)).toBeUndefined();
  });

  it('looks once at what is used often', () => {
    let value: object = {};
    for (let level = 0; level < 60; level += 1) value = { left: value, right: value };
    expect(unserialisable(value, 64)).toBeUndefined();
  });

  it('looks at what toJSON gives', () => {
    expect(unserialisable({ price: { toJSON: () => 10n } }, 64)).toContain('price: a BigInt');
    expect(unserialisable({ at: new Date(0) }, 1)).toBeUndefined();
  });
});
