// Every rule is seen red: a bad sample, what it says about it, and a good sample beside it.
import { rules, undocumentedExports } from './rules/index.js';
import { parse, violationsOf } from './source.js';

const CORE = 'packages/core/src/outbox/relay.ts';

function check(rule: string, text: string, path = CORE): string[] {
  const chosen = rules.filter(({ name }) => name === rule);
  if (chosen.length !== 1) throw new Error(`no rule ${rule}`);
  return violationsOf(parse(path, text), chosen).map(({ line, message }) => `${line} ${message}`);
}

const lines = (count: number) => 'x;\n'.repeat(count);

describe('sizes', () => {
  it('limits a source file to 400 lines and a test to 600', () => {
    expect(check('file-size', lines(401))).toEqual(['1 401 lines, at most 400: split it by responsibility']);
    expect(check('file-size', lines(400))).toEqual([]);
    expect(check('file-size', lines(600), 'packages/core/src/a.unit.spec.ts')).toEqual([]);
    expect(check('file-size', lines(601), 'packages/core/src/a.unit.spec.ts')).toHaveLength(1);
  });

  it('limits a function to 70 lines', () => {
    expect(check('function-size', `\nfunction f() {\n${lines(69)}}`)).toEqual([
      '2 a function of 71 lines, at most 70: name its parts and extract them',
    ]);
    expect(check('function-size', `\nfunction f() {\n${lines(68)}}`)).toEqual([]);
  });

  it('limits positional parameters to 3, except where somebody else calls', () => {
    expect(check('parameter-count', 'function f(a, b, c, d) {}')).toEqual(['1 4 positional parameters, at most 3: take an options object']);
    expect(check('parameter-count', 'interface P { f(a: 1, b: 2, c: 3, d: 4): void }')).toHaveLength(1);
    expect(check('parameter-count', 'function f(this: X, a, b, c) {}\nlist.reduce((a, b, c, d) => a);')).toEqual([]);
    expect(check('parameter-count', '@Injectable() class S { constructor(a: A, b: B, c: C, d: D) {} }')).toEqual([]);
  });

  it('limits a port to 7 methods', () => {
    const port = (count: number) => `export interface Store { name: string; ${'f(): void; '.repeat(count - 1)} g: () => void }`;
    expect(check('port-methods', port(8), 'packages/core/src/a.port.ts')).toEqual(['1 Store has 8 methods, at most 7: split it by caller']);
    expect(check('port-methods', port(7), 'packages/core/src/a.port.ts')).toEqual([]);
    expect(check('port-methods', port(8))).toEqual([]);
  });

  it('takes an excuse with a reason, and none without', () => {
    expect(check('parameter-count', '// tidy: parameter-count: the signature of Nest\nfunction f(a, b, c, d) {}')).toEqual([]);
    expect(check('parameter-count', '// tidy: parameter-count:\nfunction f(a, b, c, d) {}')).toHaveLength(1);
  });
});

describe('type-escape', () => {
  it('wants a reason beside any, as unknown as and @ts-ignore', () => {
    const message = 'write the type (`unknown`, a generic), or the reason in a comment above';
    expect(check('type-escape', 'let a: any;')).toEqual([`1 ${message}`]);
    expect(check('type-escape', 'const a = b as unknown as C;')).toEqual([`1 ${message}`]);
    expect(check('type-escape', '// @ts-ignore\nf();')).toEqual([`1 ${message}`]);
    expect(check('type-escape', '// The driver types its rows so.\nlet a: any;')).toEqual([]);
    expect(check('type-escape', 'let a: any;', 'packages/core/src/a.unit.spec.ts')).toEqual([]);
  });

  it('allows one in a file', () => {
    const one = '// The driver types its rows so.\nlet a: any;\n';
    expect(check('type-escape', one + one)).toEqual(['4 more than 1 `any`, `as unknown as` or `@ts-ignore` in a file: write the type']);
  });
});

describe('ambient-time', () => {
  it.each([
    ['Date.now()', 'Date.now: ask the port for it, Clock.now()'],
    ['new Date()', 'new Date: ask the port for it, Clock.now()'],
    ['performance.now()', 'performance.now: ask the port for it, Clock.monotonicMs()'],
    ['Math.random()', 'Math.random: ask the port for it, Random.next()'],
    ['setTimeout(f, 1)', 'setTimeout: ask the port for it, Scheduler.after() or sleep()'],
    ['globalThis.setInterval(f, 1)', 'setInterval: ask the port for it, Scheduler.after(), again after each time'],
  ])('sends %s to its port, in the engine and its store', (text, message) => {
    expect(check('ambient-time', `const x = ${text};`)).toEqual([`1 ${message}`]);
    expect(check('ambient-time', `const x = ${text};`, 'packages/typeorm/src/a.ts')).toHaveLength(1);
    expect(check('ambient-time', `// tidy: ambient-time: the driver asks for it so\nconst x = ${text};`)).toEqual([]);
    for (const path of ['core/src/time/clock.ts', 'core/src/testing/a.ts', 'core/src/a.unit.spec.ts', 'nest/src/a.ts'])
      expect(check('ambient-time', `const x = ${text};`, `packages/${path}`)).toEqual([]);
  });

  it('leaves what is given a time, and methods of the same name', () => {
    expect(check('ambient-time', 'new Date(0); socket.setTimeout(1); scheduler.now(); setImmediate(f);')).toEqual([]);
  });
});

describe('import-arrow', () => {
  it('lets the other packages import core only', () => {
    const sideways = "import { x } from '@holdfast/transport-in-memory';";
    expect(check('import-arrow', sideways, 'packages/nest/src/a.ts')).toEqual([
      '1 @holdfast/transport-in-memory may not be imported here: only @holdfast/core',
    ]);
    expect(check('import-arrow', sideways, 'packages/nest/src/testing/a.ts')).toEqual([]);
    expect(check('import-arrow', sideways, 'packages/nest/src/a.unit.spec.ts')).toEqual([]);
    expect(check('import-arrow', sideways, 'packages/transports/database/src/a.ts')).toHaveLength(1);
    expect(check('import-arrow', "import { x } from '@holdfast/core';", 'packages/nest/src/a.ts')).toEqual([]);
  });

  it('keeps core free of frameworks, drivers and its own adapters', () => {
    expect(check('import-arrow', "import type { X } from '@nestjs/common';")).toHaveLength(1);
    expect(check('import-arrow', "const x = await import('typeorm');")).toHaveLength(1);
    expect(check('import-arrow', "export * from '@holdfast/nest';")).toEqual([
      '1 @holdfast/nest may not be imported here: only nothing of Holdfast',
    ]);
    expect(check('import-arrow', "import { x } from 'node:fs';\nimport { y } from '../time/clock.js';")).toEqual([]);
  });

  it('refuses files inside another package', () => {
    expect(check('import-arrow', "import { x } from '@holdfast/core/src/x.js';", 'packages/nest/src/a.unit.spec.ts')).toHaveLength(1);
    expect(check('import-arrow', "import { x } from '../../core/src/x.js';", 'packages/nest/src/a.ts')).toEqual([
      '1 ../../core/src/x.js leaves the package: import the other package by its name',
    ]);
    expect(check('import-arrow', "import { x } from '../../../test/support/index.js';", 'packages/nest/src/a.int.spec.ts')).toEqual([]);
  });
});

describe('declared-dependency', () => {
  it('wants what is imported in package.json', () => {
    const path = 'packages/nest/src/a.ts';
    expect(check('declared-dependency', "import { x } from 'lodash/fp';", path)).toEqual([
      '1 lodash is not in packages/nest/package.json: declare it as a dependency or a peer, or do without',
    ]);
    expect(check('declared-dependency', "import '@nestjs/common';\nimport 'node:fs';\nimport './x.js';", path)).toEqual([]);
  });
});

describe('names', () => {
  it('has one word for one thing', () => {
    expect(check('banned-word', 'const poisonQueue = 1;')).toEqual([
      '1 poisonQueue: not "poison", say dead letter (exhausted or refused) or invalid message (unreadable)',
    ]);
    expect(check('banned-word', 'class A { run(callback: F) {} }')).toEqual(['1 callback: not "callback", say handler']);
    expect(check('banned-word', 'const jobs = []; const jobless = 1;')).toEqual(['1 jobs: not "job", say command']);
  });

  it('leaves the words of brokers to adapters and to code that is not exported', () => {
    expect(check('banned-word', 'export interface QueueOptions {}')).toHaveLength(1);
    expect(check('banned-word', 'const queue = [];')).toEqual([]);
    expect(check('banned-word', 'export interface QueueOptions {}', 'packages/transports/rabbitmq/src/a.ts')).toEqual([]);
  });

  it('refuses the I prefix and file names that are not kebab-case', () => {
    expect(check('interface-prefix', 'interface IStore {}\ninterface Inbox {}\ninterface IOError {}')).toEqual([
      '1 IStore: no I prefix, say Store',
    ]);
    expect(check('file-name', '', 'packages/core/src/RetryPolicy.ts')).toEqual(['1 RetryPolicy.ts: name it kebab-case.role.ts']);
    expect(check('file-name', '', 'packages/core/src/retry-policy.unit.spec.ts')).toEqual([]);
  });
});

describe('prose', () => {
  it('finds unfinished work in comments', () => {
    const word = ['TO', 'DO'].join('');
    expect(check('unfinished', `\n// ${word}: later`)).toEqual(['2 do it now, or open an issue and say here what is true today']);
    expect(check('unfinished', `const s = '${word}';`)).toEqual([]);
  });

  it('wants facts as titles', () => {
    expect(check('test-title', "it('should redeliver', f);")).toEqual(['1 say what happens: "redelivers", not "should redeliver"']);
    expect(check('test-title', "it.each(x)('works', f);")).toHaveLength(1);
    expect(check('test-title', "it('redelivers after requeue', f);")).toEqual([]);
  });
});

describe('doc-comment', () => {
  const undocumented = (files: Record<string, string>) =>
    undocumentedExports(Object.entries(files).map(([path, text]) => parse(`packages/core/src/${path}`, text))).map(
      ({ path, line, message }) => `${path}:${line} ${message.split(' ')[0]}`,
    );

  it('follows the exports of the index', () => {
    const files = {
      'index.ts': "export { bare, documented } from './a.js';\nexport * from './b.js';\nexport { local as renamed } from './c.js';",
      'a.ts': '/** Does a thing. */\nexport const documented = 1;\nexport function bare() {}\nexport const unreachable = 1;',
      'b.ts': "export type Bare = 1;\nexport { Deep } from './d.js';\nconst internal = 1;",
      'c.ts': 'class local {}\nexport { local };',
      'd.ts': 'export interface Deep {}',
    };
    expect(undocumented(files)).toEqual([
      'packages/core/src/a.ts:3 bare',
      'packages/core/src/b.ts:1 Bare',
      'packages/core/src/d.ts:1 Deep',
      'packages/core/src/c.ts:1 local',
    ]);
  });

  it('takes one comment for overloads and for a value with the type of the same name', () => {
    const files = {
      'index.ts': "export { f, Kind } from './a.js';",
      'a.ts':
        '/** Finds. */\nexport function f(a: 1): 1;\nexport function f(a: 2): 2;\n/** Kinds. */\nexport const Kind = {};\nexport type Kind = 1;',
    };
    expect(undocumented(files)).toEqual([]);
  });
});
