import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRORS, EVENT_NAMES, FAILPOINTS } from '@holdfast/core';

const root = join(__dirname, '../..');
const packages = join(root, 'packages');
const isSource = (path: string) =>
  /[\\/]src[\\/].*\.ts$/.test(path) && !/\.spec\.ts$|[\\/](dist|node_modules)[\\/]|errors[\\/]rows[\\/]/.test(path);
const sources = (readdirSync(packages, { recursive: true }) as string[])
  .filter(isSource)
  .map((path) => readFileSync(join(packages, path), 'utf8'))
  .join('\n');

/** Tests of every kind; those of the events themselves and of tables prove nothing. */
const specs = ['packages', 'test', 'samples']
  .flatMap((folder) => (readdirSync(join(root, folder), { recursive: true }) as string[]).map((path) => join(root, folder, path)))
  .filter((path) => /\.(spec|contract)\.ts$/.test(path) && !/[\\/](dist|node_modules|tidy)[\\/]|monitoring[\\/]events\.unit/.test(path))
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');

const unused = (names: readonly string[], call: string) => names.filter((name) => !new RegExp(`${call}\\(\\s*'${name}'`).test(sources));

describe('every row of a table stands for something', () => {
  it('each error of the catalogue is thrown somewhere', () => {
    expect(unused(Object.keys(ERRORS), 'hfError')).toEqual([]);
  });

  it('each event is emitted somewhere', () => {
    expect(unused(EVENT_NAMES, 'emit')).toEqual([]);
  });

  it('each event is heard in some test', () => {
    expect(EVENT_NAMES.filter((name) => !specs.includes(`'${name}'`))).toEqual([]);
  });

  it('each failpoint is placed somewhere', () => {
    expect(unused(FAILPOINTS, 'failpoint')).toEqual([]);
  });

  it('a name that is used nowhere is found', () => {
    expect(unused(['HF_NOWHERE'], 'hfError')).toEqual(['HF_NOWHERE']);
  });
});
