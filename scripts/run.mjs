// Small helpers of the scripts: running the tools of node_modules by path, so that no PATH and no shell is involved.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './ensure-installed.mjs';

export const bin = {
  tsc: join(root, 'node_modules/typescript/bin/tsc'),
  // Under an alias, because the executables of both versions are called tsc.
  tsc5: join(root, 'node_modules/typescript-5/bin/tsc'),
  jest: join(root, 'node_modules/jest/bin/jest.js'),
  biome: join(root, 'node_modules/@biomejs/biome/bin/biome'),
};

/** Runs a Node program with our output; answers whether it ended well. */
export function runNode(args, options = {}) {
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
  if (signal) console.error(`${args[0]} was ended by ${signal}`);
  return status === 0;
}

/** Builds the root references and every sample and benchmark that has a tsconfig. */
export function build() {
  const samples = existsSync(join(root, 'samples')) ? readdirSync(join(root, 'samples')).map((name) => `samples/${name}`) : [];
  const projects = [...samples, 'bench'].filter((path) => existsSync(join(root, path, 'tsconfig.json')));
  return runNode([bin.tsc, '-b', '.', ...projects]);
}

/** Builds, then becomes the program: same arguments, same exit code, same signals. */
export function launch(program) {
  if (!existsSync(join(root, program.replace('/dist/', '/src/').replace(/\.js$/, '.ts')))) {
    console.error(`${program} is not part of this version yet.`);
    process.exit(1);
  }
  if (!build()) process.exit(1);
  const child = spawn(process.execPath, [join(root, program), ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
  // Ctrl-C reaches the program through the terminal; it decides when to end.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}
