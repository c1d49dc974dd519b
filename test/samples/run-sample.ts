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
export async function runSample(name: string, ...args: string[]): Promise<Ending> {
  const child = spawn(process.execPath, [join(repository, 'samples', name, 'dist/main.js'), ...args], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output, lastLine: output.trimEnd().split('\n').at(-1) ?? '' };
}
