// Every published package has a README and a licence; code in a README that names its source is that source, so it compiles.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repository } from './source.js';

const read = (path: string) => readFileSync(join(repository, path), 'utf8');

const folders = ['packages', 'packages/transports']
  .flatMap((parent) => readdirSync(join(repository, parent)).map((name) => `${parent}/${name}`))
  .filter((folder) => existsSync(join(repository, folder, 'package.json')) && !JSON.parse(read(`${folder}/package.json`)).private);

const CODE = /<!-- code: (\S+) -->\n+```ts\n([\s\S]*?)```/g;

describe.each(folders)('%s', (folder) => {
  it('has the licence of the repository', () => {
    expect(read(`${folder}/LICENSE`)).toBe(read('LICENSE'));
  });

  it('has a README that begins with its name and shows code as it compiles', () => {
    const text = read(`${folder}/README.md`);
    expect(text.split('\n')[0]).toBe(`# ${JSON.parse(read(`${folder}/package.json`)).name}`);
    for (const [, source, code] of text.matchAll(CODE)) expect(`${source}\n${code}`).toBe(`${source}\n${read(source as string)}`);
  });

  it('links to files that exist', () => {
    const links = [...read(`${folder}/README.md`).matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, link]) => link as string);
    expect(links.filter((link) => !existsSync(join(repository, dirname(`${folder}/README.md`), link)))).toEqual([]);
  });
});
