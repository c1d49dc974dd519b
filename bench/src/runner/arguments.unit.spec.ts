import { readArguments } from './arguments.js';

const CASES = ['idle-latency', 'rabbitmq-saga'];
const VALID = 'there are --quick, --json FILE, and --only NAME as often as you like.';

/** What the arguments are read as, what is said, and what the program would end with. */
function read(...args: string[]) {
  const said: string[] = [];
  const before = process.exitCode;
  const spy = jest.spyOn(console, 'error').mockImplementation((text: string) => void said.push(text));
  try {
    process.exitCode = undefined;
    return { read: readArguments(args, CASES), said, exitCode: process.exitCode };
  } finally {
    process.exitCode = before;
    spy.mockRestore();
  }
}

it('the arguments of the benchmark are read', () => {
  const some = { isQuick: true, json: 'out.json', only: ['idle', 'saga'] };
  expect(read('--quick', '--json', 'out.json', '--only', 'idle', '--only=saga')).toEqual({ read: some, said: [], exitCode: undefined });
  expect(read().read).toEqual({ isQuick: false, json: undefined, only: [] });
});

it.each([
  [['--fast'], '--fast is not understood', VALID],
  [['-q'], '-q is not understood', VALID],
  [['idle'], 'idle is not understood', VALID],
  [['--json'], '--json needs a value', VALID],
  [['--json', '--quick'], '--json needs a value', VALID],
  [['--quick=yes'], '--quick takes no value', VALID],
  [['--only', 'idle', '--only', 'lunch'], '--only lunch is in the name of no case', 'there are idle-latency, rabbitmq-saga.'],
])('a wrong argument (%j) is named in one sentence with those there are, and ends the program with 2', (args, wrong, valid) => {
  expect(read(...args)).toEqual({ read: undefined, said: [`bench: ${wrong}: ${valid}`], exitCode: 2 });
});
