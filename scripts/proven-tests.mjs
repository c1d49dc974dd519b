import { relative, sep } from 'node:path';

/** The tests of a report of `jest --json`, as the table of promises wants them (test/contracts/results-table.ts). */
export function provenTests({ testResults }, root) {
  return testResults.flatMap(({ name, assertionResults }) => {
    const file = relative(root, name).split(sep).join('/');
    return assertionResults.map(({ ancestorTitles, title, status }) => ({ file, ancestorTitles, title, status }));
  });
}
