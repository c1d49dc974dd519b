// What sagas survive is a table in the docs: each shape with each thing that may befall it, and the tests that prove it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './source.js';

const PAGE = 'docs/how-it-works.md';
const SHAPES = 5;
const BEFALLS = 8;

/** The cells of the table, row by row, without its first column. */
function cellsOf(page: string): readonly (readonly string[])[] {
  const [, section = ''] = page.split('## What sagas survive');
  const rows = (section.split('\n## ')[0] as string).split('\n').filter((line) => line.startsWith('| '));
  return rows.slice(1).map((row) =>
    row
      .split('|')
      .slice(2, -1)
      .map((cell) => cell.trim()),
  );
}

/** Why a cell proves nothing; undefined: each of its links is a spec that is there, or it says why nothing can befall that shape. */
function faultOf(cell: string): string | undefined {
  if (/^— \S/.test(cell)) return undefined;
  const links = [...cell.matchAll(/\]\((.+?)\)/g)].map(([, link]) => link as string);
  const missing = links.filter((link) => !/\.spec\.ts$/.test(link) || !existsSync(join(repository, 'docs', link)));
  return links.length > 0 && missing.length === 0 ? undefined : `${cell || 'nothing'}: ${missing.join(', ') || 'no test'}`;
}

describe('the table of what sagas survive', () => {
  const cells = cellsOf(readFileSync(join(repository, PAGE), 'utf8'));

  it('has a test for each shape and whatever befalls it', () => {
    expect(cells.map((row) => row.length)).toEqual(Array.from({ length: BEFALLS }, () => SHAPES));
    expect(cells.flat().map(faultOf).filter(Boolean)).toEqual([]);
  });

  it('is told apart from one with a hole, or with a test that is gone', () => {
    const gone = '[gone](../test/crash/gone.crash.spec.ts)';
    const page = `## What sagas survive\n\n| a | b |\n|---|---|\n| x | ${gone} |\n| y |  |\n| z | — |\n\n## Other\n| x | y |`;
    expect(cellsOf(page).flat().map(faultOf)).toEqual([`${gone}: ../test/crash/gone.crash.spec.ts`, 'nothing: no test', '—: no test']);
  });
});
