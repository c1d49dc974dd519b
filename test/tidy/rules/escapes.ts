import ts from 'typescript-5';
import { lineOf, type Rule, type Source, walk } from '../source.js';

const MAX_PER_FILE = 1;

/** `any`, `as unknown as` and `@ts-ignore` switch the compiler off: none, or one in a file with its reason beside it. */
export const escapes: Rule = {
  name: 'type-escape',
  check(source) {
    if (!source.isPublished) return [];
    const lines = [...new Set([...escapesInTypes(source), ...escapesInComments(source)])].sort((a, b) => a - b);
    return lines.flatMap((line, index) => {
      if (index >= MAX_PER_FILE) {
        return [{ line, message: `more than ${MAX_PER_FILE} \`any\`, \`as unknown as\` or \`@ts-ignore\` in a file: write the type` }];
      }
      return hasReason(source, line) ? [] : [{ line, message: 'write the type (`unknown`, a generic), or the reason in a comment above' }];
    });
  },
};

function escapesInTypes(source: Source): number[] {
  const lines: number[] = [];
  walk(source.ast, (node) => {
    const isAny = node.kind === ts.SyntaxKind.AnyKeyword;
    const isDoubleCast =
      ts.isAsExpression(node) && ts.isAsExpression(node.expression) && node.expression.type.kind === ts.SyntaxKind.UnknownKeyword;
    if (isAny) lines.push(lineOf(source, node));
    if (isDoubleCast) lines.push(lineOf(source, node.type));
  });
  return lines;
}

function escapesInComments(source: Source): number[] {
  return source.lines.flatMap((text, index) => (/(\/\/|\/\*|^\s*\*).*@ts-(ignore|nocheck)/.test(text) ? [index + 1] : []));
}

function hasReason(source: Source, line: number): boolean {
  const withoutDirective = (text = '') => text.replace(/@ts-(ignore|nocheck)|biome-ignore \S+/, '');
  const own = withoutDirective(source.lines[line - 1]);
  const above = withoutDirective(source.lines[line - 2]);
  return /(\/\/|\/\*).{10,}/.test(own) || /^\s*(\/\/|\/\*|\*)(?!\/).{10,}/.test(above);
}
