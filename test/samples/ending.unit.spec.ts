import type { Account } from '../../samples/01-order-payment-stock/src/supervisor/account.js';
import { endOf, Interrupted } from '../../samples/01-order-payment-stock/src/supervisor/ending.js';

const RIGHT: Account = {
  orders: 3,
  completed: 1,
  compensated: 1,
  parked: 1,
  lost: 0,
  twice: 0,
  undead: 0,
  strayed: 0,
  missing: { money: 0, pieces: 0 },
  killed: 2,
};
const never = new Promise<never>(() => undefined);

/** The exit code, the last line, and whether everything was stopped before the one and after the other. */
async function played(run: () => Promise<Account>, failed = never, interrupted = never) {
  const seen: string[] = [];
  const story = { run, failed, end: async () => void seen.push('ended') };
  const exitCode = await endOf(story, (line) => seen.push(line), interrupted);
  return { exitCode, seen: seen.sort() };
}

it('an account that is right ends npm start with 0', async () => {
  const total = 'orders=3 completed=1 compensated=1 parked=1 lost=0 twice=0 killed=2';
  expect(await played(async () => RIGHT)).toEqual({ exitCode: 0, seen: ['ended', total] });
});

it.each<[string, Partial<Account>]>([
  ['does not add up', { completed: 2 }],
  ['has lost an order', { lost: 1, completed: 0 }],
  ['has an effect twice', { twice: 1 }],
  ['has an order that was rolled back', { undead: 1 }],
  ['has an order with the wrong end', { strayed: 1 }],
  ['misses money', { missing: { money: -5, pieces: 0 } }],
  ['misses a lamp', { missing: { money: 0, pieces: 1 } }],
  ['is of a run in which nothing was killed', { killed: 0 }],
  ['is of no orders', { orders: 0, completed: 0, compensated: 0, parked: 0 }],
])('an account that %s ends npm start with 1, its total as the last line', async (_, wrong) => {
  const { exitCode, seen } = await played(async () => ({ ...RIGHT, ...wrong }));
  expect(exitCode).toBe(1);
  expect(seen).toEqual(['ended', expect.stringMatching(/^orders=\d+ completed=/)]);
});

it('a run that fails ends npm start with 1, and a signal with what a shell expects', async () => {
  const failure = new Error('stock has ended with 1');
  const ended = { exitCode: 1, seen: [String(failure), 'ended'] };
  expect(await played(() => Promise.reject(failure))).toEqual(ended);
  expect(await played(() => never, Promise.reject(failure))).toEqual(ended);
  expect(await played(() => never, never, Promise.reject(new Interrupted(130)))).toEqual({ exitCode: 130, seen: ['Stopping …', 'ended'] });
});
