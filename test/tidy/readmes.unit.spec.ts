// Every published package has a README and a licence; code in a README that names its source is that source, so it compiles.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { update, wrongCodeIn } from '../samples/code-blocks.js';
import { repository } from './source.js';

const read = (path: string) => readFileSync(join(repository, path), 'utf8');

const folders = ['packages', 'packages/transports']
  .flatMap((parent) => readdirSync(join(repository, parent)).map((name) => `${parent}/${name}`))
  .filter((folder) => existsSync(join(repository, folder, 'package.json')) && !JSON.parse(read(`${folder}/package.json`)).private);

// HOLDFAST_UPDATE_DOCS=1 npm test -- test/tidy/readmes
if (process.env.HOLDFAST_UPDATE_DOCS) for (const folder of folders) update(`${folder}/README.md`);

describe.each(folders)('%s', (folder) => {
  it('has the licence of the repository', () => {
    expect(read(`${folder}/LICENSE`)).toBe(read('LICENSE'));
  });

  it('has a README that begins with its name and shows code as it compiles', () => {
    const text = read(`${folder}/README.md`);
    expect(text.split('\n')[0]).toBe(`# ${JSON.parse(read(`${folder}/package.json`)).name}`);
    expect(wrongCodeIn(`${folder}/README.md`)).toEqual([]);
  });

  it('links to files that exist', () => {
    const links = [...read(`${folder}/README.md`).matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, link]) => link as string);
    expect(links.filter((link) => !existsSync(join(repository, dirname(`${folder}/README.md`), link)))).toEqual([]);
  });
});
