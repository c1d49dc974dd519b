import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

const COUNT = 400;
/** Four lanes of one handler each that takes 160 ms: 25 a second, so that a publisher is faster on a busy machine too. */
const SLOW_MS = 160;
const PER_SECOND = 60;
/** So heavy that 120 MB are published, and 60 MB are behind: whoever keeps either in memory is found. */
const BALLAST = 300_000;
/** Messages after which all that a process needs for its work is there. */
const WARM = 30;
const BEHIND = 'select (select count(*) from intent) - (select count(*) from effect) as n';

afterEach(killPrograms);

it('a publisher twice as fast as its consumers: memory stays flat, and all of it is handled in the end', async () => {
  const arena = await openArena();
  const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: [] };
  const publisher = await new Program({ ...options, memoryEveryMs: 200 }).ready();
  const consumer = await new Program({ ...options, memoryEveryMs: 200, subscriptions: [{ name: 'slow', slowMs: SLOW_MS }] }).ready();
  publisher.order({ publish: { prefix: 'load', count: COUNT, perSecond: PER_SECOND, ballast: BALLAST, keys: 64 } });
  const handled = async () => Number((await arena.look<{ n: string }>('select count(*) as n from effect'))[0]?.n);
  while ((await handled()) < WARM) await pause(50);
  await Promise.all([publisher, consumer].map((program) => program.line('memory')));
  const peaks = () => [publisher, consumer].map((program) => program.said('memory').at(-1)?.peakMib as number);
  const warm = peaks();
  await publisher.line('published', () => true, 60_000);
  const behind = async () => Number((await arena.look<{ n: string }>(BEHIND))[0]?.n);
  // A publisher that stalled has been caught up with.
  while ((await behind()) <= 50) await publisher.publish({ count: 100, ballast: BALLAST, keys: 64 });
  const promises = { once: ['slow'], minimum: 350 };
  expect((await account(arena, [publisher, consumer], promises)).faults).toEqual([]);
  await publisher.publish({ count: 10 });
  expect((await account(arena, [publisher, consumer], { ...promises, minimum: 355 })).faults).toEqual([]);
  const most = peaks();
  const grown = most.map((mib, index) => mib - (warm[index] ?? 0));
  if (process.env.HOLDFAST_CRASH_FIGURES) console.info(`MiB when warm: ${warm}, at most: ${most}, messages behind: ${await behind()}`);
  for (const mib of grown) expect(mib).toBeLessThan(60);
  await arena.close();
});
