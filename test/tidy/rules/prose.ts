import ts from 'typescript-5';
import { lineOf, type Rule, walk } from '../source.js';

/** Unfinished work is an issue, not a comment. */
export const unfinished: Rule = {
  name: 'unfinished',
  check(source) {
    return source.lines.flatMap((text, index) =>
      /(\/\/|\/\*|^\s*\*).*\b(TODO|FIXME|XXX|HACK)\b/.test(text)
        ? [{ line: index + 1, message: 'do it now, or open an issue and say here what is true today' }]
        : [],
    );
  },
};

/** A title is a fact. */
export const testTitles: Rule = {
  name: 'test-title',
  check(source) {
    const found: ReturnType<Rule['check']> = [];
    walk(source.ast, (node) => {
      if (!ts.isCallExpression(node) || !/^(it|test)\b/.test(node.expression.getText(source.ast))) return;
      const [title] = node.arguments;
      if (!title || !(ts.isStringLiteralLike(title) || ts.isTemplateExpression(title))) return;
      const text = title.getText(source.ast).slice(1);
      if (/^should\b/i.test(text))
        found.push({ line: lineOf(source, node), message: 'say what happens: "redelivers", not "should redeliver"' });
      if (/^works\b/i.test(text))
        found.push({ line: lineOf(source, node), message: 'say what happens: "redelivers after requeue", not "works"' });
    });
    return found;
  },
};
