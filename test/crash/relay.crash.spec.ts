import { measured, PATIENCE_MS } from '@holdfast-internal/test-support';
import type { ProgramOptions, Publishing } from './programs/options.js';
import { account, pause } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

/** What the design promises for the lanes of a dead or frozen process. */
const TAKE_OVER_MS = 10_000;
/** What a busy machine may add. */
const SLACK_MS = 4000;
const LANES = 16;
/** For the load to be published: ten seconds, or minutes on a busy machine. */
const LOAD_MS = 180_000;
/** Sooner than a lease ends by itself. */
const FREE_MS = 4000;
/** How a process says that it lost a lease. */
const LOST = /^leases were lost|^this process was silent/;
/** What a broker has refused several times may wait for a minute before it is sent again. */
const PROMISES = { once: ['relayed'], minimum: 20, patienceMs: 180_000 };

let arena: Arena;
let options: ProgramOptions;

async function open(): Promise<void> {
  arena = await openArena();
  options = { url: arena.url, lanes: LANES, transport: 'spool', subscriptions: [{ name: 'relayed' }] };
}

async function close(): Promise<void> {
  await killPrograms();
  await arena.close();
}

beforeEach(open);
afterEach(close);

/** In an arena of its own each time. */
const afresh =
  <T>(run: () => Promise<T>) =>
  async (): Promise<T> => {
    await close();
    await open();
    return run();
  };

interface Owned {
  readonly node: string;
  readonly lanes: number;
}

/** Lanes of each process that has some, as long as its lease lasts. */
async function owned(): Promise<readonly Owned[]> {
  return arena.look<Owned>(
    `select node_id as node, count(*)::int as lanes from holdfast_lease where scope = 'relay' and lease_until > clock_timestamp() group by 1 order by 2`,
  );
}

/** How long it takes until the lanes are shared so. */
async function untilOwned(isGood: (lanes: readonly number[]) => boolean): Promise<number> {
  const since = performance.now();
  for (;;) {
    const lanes = (await owned()).map(({ lanes: count }) => count);
    if (isGood(lanes)) return performance.now() - since;
    if (performance.now() - since > PATIENCE_MS)
      throw new Error(`The lanes are shared so after ${PATIENCE_MS} ms: ${lanes.join(', ')} of ${LANES}`);
    await pause(50);
  }
}

const areShared = (among: number) => (lanes: readonly number[]) =>
  lanes.length === among &&
  lanes.every((count) => count >= Math.floor(LANES / among)) &&
  lanes.reduce((sum, count) => sum + count, 0) === LANES;

/** Messages whose first arrival at the broker came after that of a later one of their key. */
async function disorder(): Promise<readonly string[]> {
  const rows = await arena.look<{ key: string; seq: number; before: number }>(
    `select * from (select key, seq, max(seq) over (partition by key order by n rows between unbounded preceding and 1 preceding) as before
       from (select distinct on (message_id) * from spool_sent order by message_id, n) first) f where seq < before limit 20`,
  );
  return rows.map(({ key, seq, before }) => `${seq} of ${key} came after ${before}`);
}

async function sentBy(pid: number, since: Date): Promise<number> {
  const [row] = await arena.look<{ n: number }>('select count(*)::int as n from spool_sent where pid = $1 and at > $2', [pid, since]);
  return row?.n ?? 0;
}

const LOAD: Publishing = {
  prefix: 'load',
  count: 600,
  perSecond: 60,
  keys: 23,
  kinds: ['ok', 'ok', 'ok', 'refuse-once', 'ok', 'ok', 'ok'],
};

/** One of three processes is killed, one frozen and woken again. How long it takes until the third has all lanes. */
async function replaceTwo(): Promise<number> {
  const programs = (await Promise.all([0, 1, 2].map(() => new Program(options).ready()))) as [Program, Program, Program];
  const [killed, sleeping, healthy] = programs;
  await untilOwned(areShared(3));
  healthy.order({ publish: LOAD });
  await pause(1000);
  killed.signal('SIGKILL');
  sleeping.signal('SIGSTOP');
  const tookMs = await untilOwned(areShared(1));

  const woken = new Date();
  sleeping.signal('SIGCONT');
  await untilOwned(areShared(2));
  await healthy.line('published', () => true, LOAD_MS);
  await healthy.publish({ count: 100, keys: 23 }, LOAD_MS);
  const { faults } = await account(arena, programs, PROMISES);
  expect({ faults, disorder: await disorder() }).toEqual({ faults: [], disorder: [] });
  expect(await sentBy(sleeping.pid, woken)).toBeGreaterThan(0);
  return tookMs;
}

it('three processes share the lanes; one that is killed and one that is frozen are replaced, and the frozen one harms nobody when it wakes', async () => {
  const tookMs = await measured(afresh(replaceTwo), (ms) => ms < TAKE_OVER_MS + SLACK_MS);
  expect(tookMs).toBeLessThan(TAKE_OVER_MS + SLACK_MS);
}, 1_200_000);

/** One of three processes stops. How long it takes until the others have its lanes, and how many messages were sent twice. */
async function leaveUnderLoad(): Promise<{ readonly tookMs: number; readonly twice: number }> {
  const first = await new Program(options).ready();
  await untilOwned(areShared(1));
  // Without rollbacks: what a verdict on a hole takes out of a place under a batch is sent again.
  first.order({ publish: { ...LOAD, kinds: ['ok'], rollbackShare: 0 } });
  const second = await new Program(options).ready();
  await untilOwned(areShared(2));
  const third = await new Program(options).ready();
  await untilOwned(areShared(3));
  await second.stop();
  const tookMs = (await untilOwned((lanes) => lanes.length === 2)) + (await untilOwned(areShared(2)));
  await first.line('published', () => true, LOAD_MS);
  const { faults } = await account(arena, [first, second, third], PROMISES);
  expect({ faults, disorder: await disorder() }).toEqual({ faults: [], disorder: [] });
  const [sent] = await arena.look<{ twice: number }>(
    'select count(*)::int as twice from (select from spool_sent group by message_id having count(*) > 1) t',
  );
  const isDisturbed = [first, second, third].some((program) => program.said('log').some(({ message }) => LOST.test(message)));
  const twice = sent?.twice as number;
  // Where a machine that stalled has cost somebody a lease, what he had in hand is sent again, rightly.
  expect(isDisturbed ? 0 : twice).toBe(0);
  return { tookMs, twice };
}

it('a process that stops gives its lanes away at once, and one that comes gets its share, in order under load', async () => {
  const { tookMs, twice } = await measured(afresh(leaveUnderLoad), (found) => found.tookMs < FREE_MS && found.twice === 0);
  expect(tookMs).toBeLessThan(FREE_MS);
  expect(twice).toBe(0);
}, 1_200_000);
