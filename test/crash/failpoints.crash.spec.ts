import { type FailpointName, FAILPOINTS } from '@holdfast/core';
import { account, pause, type Promises } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import type { ProgramOptions, Publishing } from './programs/options.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';

/** A process that comes to a failpoint and dies there. */
interface Death {
  readonly at: FailpointName;
  /** Strikes at this hit; default 1. */
  readonly hit?: number;
  readonly publishing?: Omit<Publishing, 'prefix'>;
  readonly options?: Partial<ProgramOptions>;
  /** The process before it died with messages in its hands, and nothing was started in its place for a minute. */
  readonly isAfterDeathInWork?: true;
}

/** Processes that die one after another in one database, each taking over from the one before. */
interface Chain {
  readonly what: string;
  readonly options: Omit<ProgramOptions, 'url'>;
  readonly promises: Omit<Promises, 'minimum'>;
  readonly deaths: readonly Death[];
}

const LOG = {
  subscriptions: [
    { name: 'ordered', isOrdered: true },
    { name: 'batch', batchSize: 8 },
  ],
};
const KEPT = { once: ['ordered', 'batch'], ordered: ['ordered'] };
const FAILING = { kinds: ['ok', 'throw-once', 'ok'] } as const;
const HOLES = { rollbackShare: 0.4, count: 40 };

const CHAINS: readonly Chain[] = [
  {
    what: 'on the way into the log and out of it',
    options: LOG,
    promises: KEPT,
    deaths: [
      { at: 'unit:before-outbox', hit: 7 },
      { at: 'unit:after-outbox', hit: 7 },
      { at: 'unit:before-commit', hit: 9 },
      { at: 'unit:after-commit', hit: 9 },
      { at: 'unit:after-join', hit: 9, publishing: { isJoined: true } },
      { at: 'claim:after-read', hit: 7 },
      { at: 'inbox:after-insert', hit: 7 },
      { at: 'handler:after', hit: 7 },
      { at: 'cursor:after-move', hit: 7 },
    ],
  },
  {
    what: 'in retries and house-keeping',
    options: LOG,
    promises: KEPT,
    deaths: [
      { at: 'failure:before-record', hit: 3, publishing: FAILING },
      { at: 'failure:after-record', hit: 3, publishing: FAILING },
      { at: 'delivery:after-take', hit: 2, publishing: FAILING },
      // Keys of their own: what is published without a delay may overtake them.
      { at: 'scheduled:after-move', publishing: { delayMs: 50, keyPrefix: 'later' } },
      { at: 'fence:before-verdict', publishing: HOLES },
      { at: 'fence:after-verdict', publishing: HOLES },
      { at: 'trim:after-delete', options: { retentionMs: 1 } },
      { at: 'count:after-record', isAfterDeathInWork: true },
    ],
  },
  {
    what: 'outside any transaction',
    options: { subscriptions: [{ name: 'leased', isTransactional: false, lockTtlMs: 2000 }] },
    promises: { atLeastOnce: ['leased'] },
    deaths: [
      { at: 'lease:after-take', hit: 4 },
      { at: 'lease:after-handler', hit: 4 },
      { at: 'lease:after-done', hit: 4 },
    ],
  },
  {
    what: 'between the log and a broker',
    options: { transport: 'spool', subscriptions: [{ name: 'relayed' }] },
    promises: { once: ['relayed'] },
    deaths: [
      { at: 'relay:after-read', hit: 2 },
      { at: 'relay:after-publish', hit: 2 },
      { at: 'relay:after-advance', hit: 2 },
    ],
  },
];

/** Lets a process come to its end. */
async function die(options: ProgramOptions, { at, hit = 1, publishing }: Death): Promise<Program> {
  const program = new Program(options, { failpoint: `${at}=kill@${hit}` });
  const work = program.ready().then(() => program.publish({ count: 30, ...publishing }));
  await Promise.race([work.catch(() => undefined), program.ended]);
  await program.end();
  return program;
}

/** A process that dies in the midst of slow work. */
async function dieInWork(arena: Arena, options: ProgramOptions): Promise<Program> {
  const program = await new Program(options).ready();
  await program.publish({ count: 8, kinds: ['slow'], ms: 300 });
  await pause(100);
  await program.kill();
  await arena.look(`update holdfast_node set seen_at = seen_at - interval '1 minute'`);
  return program;
}

describe('kill -9 at every failpoint', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms);

  it('is tried at every failpoint there is', () => {
    const tried = CHAINS.flatMap(({ deaths }) => deaths.map(({ at }) => at));
    expect(tried.sort()).toEqual([...FAILPOINTS].sort());
  });

  it.concurrent.each(CHAINS)(
    'loses nothing and doubles nothing $what',
    async ({ options, promises, deaths }) => {
      const arena = await openArena();
      const full: ProgramOptions = { lanes: 8, ...options, url: arena.url };
      const programs: Program[] = [];
      for (const death of deaths) {
        if (death.isAfterDeathInWork) programs.push(await dieInWork(arena, full));
        programs.push(await die({ ...full, ...death.options }, death));
      }
      const last = await new Program(full).ready();
      await last.publish({ count: 20 });
      const { faults, ...figures } = await account(arena, [...programs, last], { ...promises, minimum: 20 });
      const ends = await Promise.all(programs.map(({ ended }) => ended));
      expect({ faults, figures, ends: ends.map(({ signal }) => signal) }).toMatchObject({ faults: [], ends: ends.map(() => 'SIGKILL') });
      await last.stop();
      await arena.close();
    },
    180_000,
  );
});
