// Where to find what is a table in the docs: each folder of the engine and of the package for Nest has its place in it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './source.js';

const PAGE = 'docs/how-it-works.md';
const SOURCES = ['packages/core/src', 'packages/nest/src'];

/** Folders that the table links to. */
function mappedIn(page: string): readonly string[] {
  const [, section = ''] = page.split('## Where it is in the code');
  return [...section.matchAll(/\]\(\.\.\/(.+?)\)/g)].map(([, folder]) => folder as string);
}

describe('the table of where it is in the code', () => {
  const mapped = mappedIn(readFileSync(join(repository, PAGE), 'utf8'));

  it.each(SOURCES)('has each folder of %s', (source) => {
    const folders = readdirSync(join(repository, source), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => `${source}/${name}`).filter((folder) => !mapped.includes(folder))).toEqual([]);
  });

  it('links to what is there', () => {
    expect(mapped.length).toBeGreaterThan(0);
    expect(mapped.filter((folder) => !existsSync(join(repository, folder)))).toEqual([]);
  });
});
