// The reference pages are generated, so that they say what the sources say. `npm run docs` writes them.
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ERRORS, EVENT_NAMES } from '@holdfast/core';
import { repository } from './source.js';

// Each run is a process of its own.

const FOLDER = 'docs/reference';

function runDocs(...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/docs.mjs', ...args], { cwd: repository, encoding: 'utf8' });
  return { status, stderr };
}

const headingsOf = (name: string, level: string) =>
  [...readFileSync(join(repository, FOLDER, name), 'utf8').matchAll(new RegExp(`^${level} (.*)$`, 'gm'))].map(([, text]) => text);

/** Names of the packages we publish, without their scope. */
function publishedPackages(): string[] {
  const manifests = ['packages', 'packages/transports']
    .flatMap((parent) => readdirSync(join(repository, parent)).map((name) => join(repository, parent, name, 'package.json')))
    .filter((path) => existsSync(path));
  return manifests.map((path) => JSON.parse(readFileSync(path, 'utf8')).name.split('/')[1]);
}

describe('docs/reference', () => {
  it('is what the sources say', () => {
    expect(runDocs('--check')).toEqual({ status: 0, stderr: '' });
  });

  it('has every error and every event, as the running code knows them', () => {
    expect(headingsOf('errors.md', '###')).toEqual(Object.keys(ERRORS));
    expect(headingsOf('events.md', '##')).toEqual(EVENT_NAMES);
  });

  it('has the public API of every package: what an entry exports, and nothing that is private', () => {
    const folder = join(repository, FOLDER, 'api');
    const pages = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
    expect([...pages.keys()].sort()).toEqual(
      publishedPackages()
        .map((name) => `${name}.md`)
        .sort(),
    );
    const core = pages.get('core.md') ?? '';
    expect(core.match(/^## .*$/gm)).toEqual(['## @holdfast/core', '## @holdfast/core/testing/contracts']);
    expect(core).toContain('export declare class Holdfast {');
    expect(core).toContain(
      'export declare function transportContract(capabilities: TransportCapabilities): readonly ContractCase<TransportFixture>[];',
    );
    expect(pages.get('nest.md')).toMatch(/```ts\nexport \* from '@holdfast\/core';\n/);
    for (const page of pages.values()) expect(page).not.toMatch(/^ +private |^ +#|\/\*\*/m);
  });

  it('has every option type once, with rows', () => {
    const names = headingsOf('options.md', '##');
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(
      expect.arrayContaining(['HoldfastOptions', 'CommonOptions', 'SubscriptionOptions', 'TypeormStoreOptions', 'DatabaseOptions']),
    );
    const page = readFileSync(join(repository, FOLDER, 'options.md'), 'utf8');
    expect(page).toMatch(/^\| `outsideTransaction` \| `'warn' \\\| 'throw' \\\| 'allow'` \| `'warn'` \| A publish outside any unit/m);
    expect(page).not.toMatch(/undefined \||\[object|^\| `transports\?/m);
  });

  it('is told apart from pages that are stale or missing, with the command that writes them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'));
    try {
      expect(runDocs('--check', `--folder=${folder}`).stderr.match(/errors\.md|events\.md|options\.md/g)).toEqual([
        'errors.md',
        'events.md',
        'options.md',
      ]);
      expect(runDocs(`--folder=${folder}`).status).toBe(0);
      expect(readdirSync(folder).sort()).toEqual(['errors.md', 'events.md', 'options.md']);
      expect(runDocs('--check', `--folder=${folder}`)).toEqual({ status: 0, stderr: '' });
      appendFileSync(join(folder, 'events.md'), 'by hand\n');
      const stale = runDocs('--check', `--folder=${folder}`);
      expect(stale.stderr).toMatch(/^\S*events\.md is not what the sources say: run npm run docs\n$/);
      expect(stale.status).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
