import { BRANCH_BYTES, decodeStored, encodeArguments, encodeResult } from './branch-json.js';

const reasonOf = (work: () => unknown): string => {
  try {
    return `kept: ${String(work())}`;
  } catch (error) {
    return (error as Error).message;
  }
};

class Money {
  constructor(readonly cents: number) {}
}

it.each([
  ['plain JSON', ['a', 1, true, null, [1, { b: 'c' }]]],
  ['a field without a value, which is left out', [{ a: undefined }]],
  ['an instance of a class, as its fields', [new Money(5)]],
  ['what a text column could not hold', ['\0 \ud800']],
])('%s is kept', (_what, args) => {
  expect(decodeStored(encodeArguments(args, 'm'))).toEqual(JSON.parse(JSON.stringify(args)));
});

it.each([
  ['a Date', [new Date(0)], 'a Date comes back as text'],
  ['a number that is none', [{ total: Number.NaN }], 'total: NaN becomes null in JSON'],
  ['a function', [() => 1], 'a function has no form in JSON'],
  ['nothing in a list', [undefined], 'undefined in a list becomes null'],
  ['a Map', [new Map()], 'what is in a Map is not in its JSON'],
  ['what makes a text of itself', [new URL('http://a/')], 'a URL comes back as a string'],
  ['a BigInt', [{ n: 1n }], 'a BigInt has no form in JSON'],
  ['more than the limit', ['x'.repeat(BRANCH_BYTES)], `the limit is ${BRANCH_BYTES}`],
])('%s is refused', (_what, args, expected) => {
  const text = reasonOf(() => encodeArguments(args, 'Points.freeze'));
  expect(text).toContain('The arguments of the try Points.freeze cannot be kept');
  expect(text).toContain(expected);
});

it('a cycle is refused with where it is', () => {
  const order: { self?: unknown } = {};
  order.self = order;
  expect(reasonOf(() => encodeArguments([order], 'm'))).toContain('[0].self: contains itself');
});

it('a result may be nothing, and is refused as arguments are', () => {
  expect(encodeResult(undefined, 'm')).toBeUndefined();
  expect(decodeStored(undefined)).toBeUndefined();
  expect(decodeStored(encodeResult(null, 'm'))).toBeNull();
  expect(reasonOf(() => encodeResult({ at: new Date(0) }, 'm'))).toContain('The result of the try m cannot be kept');
  expect(reasonOf(() => encodeResult(() => 1, 'm'))).toContain('a function has no form in JSON');
});
