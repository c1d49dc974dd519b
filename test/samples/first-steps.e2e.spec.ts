// The program of docs/tutorial.md, as it is and as the tutorial breaks it, prints what the tutorial says.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { repository } from '../tidy/source.js';
import { read } from './code-blocks.js';
import { runProgram, runSample } from './run-sample.js';

const SAMPLE = 'samples/00-first-steps/dist';
const [started, run, ...broken] = [...read('docs/tutorial.md').matchAll(/^```text\n([\s\S]*?)^```/gm)].map(([, text]) =>
  linesOf(text as string),
);

/** Without colours, and without what Nest puts before its own lines; those of one order stay in their order. */
function linesOf(output: string): readonly string[] {
  const lines = stripVTControlCharacters(output)
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\[Nest\].*LOG (?=\[)/, ''));
  return lines.filter((line) => !/^\[(?!Holdfast\])/.test(line));
}

/** Handlers do not wait for the shop, nor for each other. */
const anyOrder = (lines: readonly string[] | undefined) => [...(lines ?? [])].sort();

/** Runs a copy of the compiled sample with some of its text replaced. */
async function runChanged(changes: readonly [file: string, from: string, to: string][]) {
  mkdirSync(join(repository, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(repository, '.cache/tutorial-'));
  try {
    cpSync(join(repository, SAMPLE), folder, { recursive: true });
    for (const [file, from, to] of changes) {
      const text = readFileSync(join(folder, file), 'utf8');
      if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
      writeFileSync(join(folder, file), text.replace(from, to));
    }
    return await runProgram(join(relative(repository, folder), 'main.js'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('samples/00-first-steps prints what the tutorial says', () => {
  it('as it is', async () => {
    const { exitCode, output } = await runSample('00-first-steps');
    expect(anyOrder(linesOf(output))).toEqual(anyOrder([...(started ?? []), ...(run ?? [])]));
    expect(linesOf(output)[0]).toBe(started?.[0]);
    expect(linesOf(output).filter((line) => line.startsWith('mail: order 3'))).toEqual(
      run?.filter((line) => line.startsWith('mail: order 3')),
    );
    expect(linesOf(output).at(-1)).toBe(run?.at(-1));
    expect(exitCode).toBe(0);
  });

  it('with the transaction taken away from the handler', async () => {
    const { exitCode, lastLine } = await runChanged([['mail.js', '(0, nest_1.Transactional)(),', '']]);
    expect([lastLine]).toEqual(broken[0]);
    expect(exitCode).toBe(0);
  });

  it('with a message that is published twice', async () => {
    const { exitCode, lastLine } = await runChanged([
      ['main.js', "await shop.place('Grace', 1);", "await shop.place('Grace', 1); await require('./twice.js').publishTwice(app);"],
      ['main.js', 'handled < 2', 'handled < 3'],
    ]);
    expect([lastLine]).toEqual(broken[1]);
    expect(exitCode).toBe(0);
  });
});
