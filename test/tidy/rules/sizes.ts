import ts from 'typescript-5';
import { lineOf, type Rule, type Source, walk } from '../source.js';

const MAX_SOURCE_LINES = 400;
const MAX_TEST_LINES = 600;
const MAX_FUNCTION_LINES = 70;
const MAX_PARAMETERS = 3;
const MAX_PORT_METHODS = 7;

export const fileSize: Rule = {
  name: 'file-size',
  check(source) {
    // A contract is a suite of tests, though it is published.
    const isSuite = source.isTest || source.path.endsWith('.contract.ts');
    const limit = isSuite ? MAX_TEST_LINES : MAX_SOURCE_LINES;
    const count = source.text.trimEnd().split('\n').length;
    return count > limit ? [{ line: 1, message: `${count} lines, at most ${limit}: split it by responsibility` }] : [];
  },
};

export const functionSize: Rule = {
  name: 'function-size',
  check(source) {
    if (source.isTest) return [];
    return functionsOf(source).flatMap((node) => {
      if (!('body' in node) || !node.body) return [];
      const line = lineOf(source, node);
      const count = source.ast.getLineAndCharacterOfPosition(node.end).line + 2 - line;
      return count > MAX_FUNCTION_LINES
        ? [{ line, message: `a function of ${count} lines, at most ${MAX_FUNCTION_LINES}: name its parts and extract them` }]
        : [];
    });
  },
};

export const parameterCount: Rule = {
  name: 'parameter-count',
  check(source) {
    return functionsOf(source).flatMap((node) => {
      const count = node.parameters.filter((parameter) => parameter.name.getText(source.ast) !== 'this').length;
      if (count <= MAX_PARAMETERS || isShapedByOthers(node)) return [];
      return [{ line: lineOf(source, node), message: `${count} positional parameters, at most ${MAX_PARAMETERS}: take an options object` }];
    });
  },
};

export const portMethods: Rule = {
  name: 'port-methods',
  check(source) {
    if (!source.path.endsWith('.port.ts')) return [];
    return source.ast.statements.filter(ts.isInterfaceDeclaration).flatMap((port) => {
      const count = port.members.filter(isMethod).length;
      if (count <= MAX_PORT_METHODS) return [];
      return [
        { line: lineOf(source, port), message: `${port.name.text} has ${count} methods, at most ${MAX_PORT_METHODS}: split it by caller` },
      ];
    });
  },
};

type FunctionNode = ts.FunctionLikeDeclaration | ts.MethodSignature | ts.FunctionTypeNode;

function functionsOf(source: Source): FunctionNode[] {
  const found: FunctionNode[] = [];
  walk(source.ast, (node) => {
    if (
      ts.isFunctionDeclaration(node) ||
      ts.isFunctionExpression(node) ||
      ts.isArrowFunction(node) ||
      ts.isMethodDeclaration(node) ||
      ts.isConstructorDeclaration(node) ||
      ts.isMethodSignature(node) ||
      ts.isFunctionTypeNode(node)
    ) {
      found.push(node);
    }
  });
  return found;
}

/** Functions given to somebody's API and constructors that Nest calls have the parameters they have. */
function isShapedByOthers(node: FunctionNode): boolean {
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return ts.isCallExpression(node.parent);
  if (!ts.isConstructorDeclaration(node)) return false;
  return (ts.getDecorators(node.parent as ts.ClassDeclaration)?.length ?? 0) > 0;
}

function isMethod(member: ts.TypeElement): boolean {
  return (
    ts.isMethodSignature(member) || (ts.isPropertySignature(member) && member.type !== undefined && ts.isFunctionTypeNode(member.type))
  );
}
