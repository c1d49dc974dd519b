import ts from 'typescript-5';
import { lineOf, type Rule, walk } from '../source.js';

const ENGINE = /^packages\/(core|typeorm)\/src\/(?!time\/|testing\/)/;

/** What the engine asks its ports for instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  'Date.now': 'Clock.now()',
  'new Date': 'Clock.now()',
  'performance.now': 'Clock.monotonicMs()',
  'Math.random': 'Random.next()',
  setTimeout: 'Scheduler.after() or sleep()',
  setInterval: 'Scheduler.after(), again after each time',
};

/** Time and randomness are passed in, so that a test can move the one and a simulation repeat the other. */
export const ambientTime: Rule = {
  name: 'ambient-time',
  check(source) {
    if (!source.isPublished || !ENGINE.test(source.path)) return [];
    const found: ReturnType<Rule['check']> = [];
    walk(source.ast, (node) => {
      const name = readOf(node);
      const instead = name !== undefined && Object.hasOwn(INSTEAD, name) ? INSTEAD[name] : undefined;
      if (instead !== undefined) found.push({ line: lineOf(source, node), message: `${name}: ask the port for it, ${instead}` });
    });
    return found;
  },
};

/** What a node takes from the machine itself: `Date.now`, `new Date` without a time, `setTimeout`; also as `globalThis.setTimeout`. */
function readOf(node: ts.Node): string | undefined {
  if (ts.isNewExpression(node)) return (node.arguments?.length ?? 0) === 0 ? `new ${nameOf(node.expression)}` : undefined;
  if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) return `${node.expression.text}.${node.name.text}`;
  return ts.isCallExpression(node) ? nameOf(node.expression) : undefined;
}

function nameOf(called: ts.Expression): string | undefined {
  if (ts.isIdentifier(called)) return called.text;
  const isGlobal = ts.isPropertyAccessExpression(called) && called.expression.getText() === 'globalThis';
  return isGlobal ? called.name.text : undefined;
}
