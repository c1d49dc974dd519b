import { factLines } from './facts-text.js';

it('what a person looks at by itself is printed whole, on one line', () => {
  const long = `[${'"item",'.repeat(500)}"last"]`;
  expect(factLines({ arguments: long, failure: 'two\nlines', result: undefined })).toEqual([
    `arguments     ${long}`,
    'failure       two\\nlines',
  ]);
});
