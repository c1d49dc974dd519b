// The command as a function of a program that lives on: one call after the other, as asked for by the test that forked it.
const { holdfast } = require('../../packages/cli/src/index.ts');

let last = Promise.resolve();
process.on('message', (args) => {
  last = last.then(async () => process.send(await call(args)));
});

async function call(args) {
  const texts = { out: '', error: '' };
  const terminal = {
    cwd: process.cwd(),
    env: process.env,
    write: (text) => {
      texts.out += text;
    },
    writeError: (text) => {
      texts.error += text;
    },
    user: () => 'tester',
  };
  return { code: await holdfast(args, terminal), ...texts };
}
