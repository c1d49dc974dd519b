#!/usr/bin/env node
import { userInfo } from 'node:os';
import { holdfast } from './holdfast.js';

// Whoever reads our output may have seen enough (`holdfast sql | head`). What is under way is done all the same, and its exit code counts.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

const terminal = {
  cwd: process.cwd(),
  env: process.env,
  write: (text: string) => void process.stdout.write(text),
  writeError: (text: string) => void process.stderr.write(text),
  user: () => {
    try {
      return userInfo().username;
    } catch {
      return undefined; // a container may run as a number that has no name
    }
  },
};

holdfast(process.argv.slice(2), terminal).then((code) => {
  // What the user's file has opened must not keep the process; what was written has to be out first.
  process.stdout.write('', () => process.exit(code));
});
