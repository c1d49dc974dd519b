import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

const SECONDS = 10;
/** Four lanes of one handler each that takes 100 ms: 40 a second. */
const SLOW_MS = 100;
const PER_SECOND = 60;
/** So heavy that 120 MB are published, and 40 MB are behind: whoever keeps either in memory is found. */
const BALLAST = 200_000;

afterEach(killPrograms);

it('a publisher half as fast again as its consumers: memory stays flat, and all of it is handled in the end', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: [] };
  const publisher = await new Program({ ...options, memoryEveryMs: 200 }).ready();
  const consumer = await new Program({ ...options, memoryEveryMs: 200, subscriptions: [{ name: 'slow', slowMs: SLOW_MS }] }).ready();
  publisher.order({ publish: { prefix: 'load', count: SECONDS * PER_SECOND, perSecond: PER_SECOND, ballast: BALLAST, keys: 64 } });
  await pause(3000);
  const peaks = () => [publisher, consumer].map((program) => program.said('memory').at(-1)?.peakMib ?? 0);
  const warm = peaks();
  await publisher.line('published', () => true, 60_000);
  const [behind] = await arena.look<{ n: string }>('select (select count(*) from intent) - (select count(*) from effect) as n');
  expect(Number(behind?.n)).toBeGreaterThan(50);
  const promises = { once: ['slow'], minimum: 500, patienceMs: 40_000 };
  expect((await account(arena, [publisher, consumer], promises)).faults).toEqual([]);
  await publisher.publish({ count: 10 });
  expect((await account(arena, [publisher, consumer], { ...promises, minimum: 505, patienceMs: 5000 })).faults).toEqual([]);
  const most = peaks();
  const grown = most.map((mib, index) => mib - (warm[index] ?? 0));
  if (process.env.HOLDFAST_CRASH_FIGURES) console.info(`MiB after 3 s: ${warm}, at most: ${most}, messages behind: ${behind?.n}`);
  for (const mib of grown) expect(mib).toBeLessThan(60);
  await arena.close();
}, 120_000);
