import { rules, undocumentedExports } from './rules/index.js';
import { repositorySources, type Violation, violationsOf } from './source.js';

const sources = repositorySources();

function report(violations: readonly Violation[]): string {
  return violations.map(({ path, line, message }) => `${path}:${line} ${message}`).join('\n');
}

describe('the repository keeps the house style', () => {
  it.each(rules)('$name', (rule) => {
    expect(report(sources.flatMap((source) => violationsOf(source, [rule])))).toBe('');
  });

  it('doc-comment', () => {
    expect(report(undocumentedExports(sources))).toBe('');
  });
});
