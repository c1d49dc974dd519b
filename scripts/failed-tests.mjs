import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** What failed, of a report of `jest --json`: each test, or the file when it could not be run, with the first line of why. */
export function failedTests({ testResults }, root) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${file}: ${test.fullName}\n    ${firstLine(test.failureMessages[0])}`);
    return status === 'failed' && failed.length === 0 ? [`${file}\n    ${firstLine(message)}`] : failed;
  });
}

/** The message of a file begins with a heading, which says nothing. */
function firstLine(text = '') {
  const lines = stripVTControlCharacters(text).split('\n');
  return lines.find((line) => line.trim() !== '' && !line.includes('●'))?.trim() ?? 'no message';
}
