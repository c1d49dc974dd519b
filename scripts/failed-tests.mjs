import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** What failed, of a report of `jest --json`: each test, or the file when it could not be run, with the first lines of why. */
export function failedTests({ testResults }, root) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => `${file}: ${test.fullName}\n    ${firstLines(test.failureMessages[0])}`);
    return status === 'failed' && failed.length === 0 ? [`${file}\n    ${firstLines(message)}`] : failed;
  });
}

/** What an assertion expected and got is behind its first line; where it was made comes after that. */
const MOST_LINES = 8;
const MOST_LENGTH = 160;

/** The message of a file begins with a heading, which says nothing. */
function firstLines(text = '') {
  const lines = stripVTControlCharacters(text).split('\n');
  const told = lines.filter((line) => line.trim() !== '' && !line.includes('●') && !/^\s+at |^\s*(> *)?\d* \|/.test(line));
  return told.length === 0 ? 'no message' : told.slice(0, MOST_LINES).map(cut).join('\n    ');
}

function cut(line, place) {
  const text = place === 0 ? line.trim() : line;
  return text.length > MOST_LENGTH ? `${text.slice(0, MOST_LENGTH)} …` : text;
}
