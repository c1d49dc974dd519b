import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

describe('a clone whose dependencies are those of the lockfile', () => {
  let clone: string;

  beforeEach(() => {
    clone = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-clone-')));
    for (const folder of ['node_modules/@us', 'packages/moved', 'scripts']) mkdirSync(join(clone, folder), { recursive: true });
    cpSync(join(ROOT, 'scripts/ensure-installed.mjs'), join(clone, 'scripts/ensure-installed.mjs'));
    const packages = { 'node_modules/@us/moved': { resolved: 'packages/moved', link: true, version: '1.0.0' } };
    for (const file of ['package-lock.json', 'node_modules/.package-lock.json'])
      writeFileSync(join(clone, file), JSON.stringify({ packages }));
  });
  afterEach(() => rmSync(clone, { recursive: true }));

  it.each(['that a pull brought', 'that a pull moved, whose link leads nowhere now'])('gets a link to a package of ours %s', (which) => {
    const link = join(clone, 'node_modules/@us/moved');
    if (which.includes('moved')) symlinkSync(join(clone, 'packages/before'), link, 'junction');
    const { stderr, status } = spawnSync(process.execPath, [join(clone, 'scripts/ensure-installed.mjs')], { encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(realpathSync(link)).toBe(join(clone, 'packages/moved'));
  });
});
