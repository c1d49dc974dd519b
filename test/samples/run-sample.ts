import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repository } from '../tidy/source.js';

/** How a sample ended. */
export interface Ending {
  readonly exitCode: number | null;
  readonly output: string;
  readonly lastLine: string;
}

/** Runs the compiled sample as its users do. The build comes first: `npm test` makes it. */
export function runSample(name: string, ...args: string[]): Promise<Ending> {
  return runProgram(join('samples', name, 'dist/main.js'), ...args);
}

/** The same, with variables of the environment. */
export function runSampleWith(env: Readonly<Record<string, string>>, name: string, ...args: string[]): Promise<Ending> {
  return run([join(repository, 'samples', name, 'dist/main.js'), ...args], env);
}

/** Runs a program of the repository. */
export function runProgram(path: string, ...args: string[]): Promise<Ending> {
  return run([join(repository, path), ...args], {});
}

async function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ending> {
  const child = spawn(process.execPath, args, { cwd: repository, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output, lastLine: output.trimEnd().split('\n').at(-1) ?? '' };
}
