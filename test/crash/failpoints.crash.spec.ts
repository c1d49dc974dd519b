import { FAILPOINTS } from '@holdfast/core';
import { account } from './support/account.js';
import { type Arena, openArenaWithStore } from './support/arena.js';
import { type Chain, DEATHS_IN_KAFKA, die, dieInWork, leaveFailed, type Scene } from './support/deaths.js';
import { METHOD_DEATHS, takeOver } from './support/methods.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { endOfSagas, SAGA_DEATHS, WITH_SAGAS } from './support/sagas.js';
import { endOfTrips, TRIP_DEATHS, WITH_TRIPS } from './support/trips.js';
import { endOfTries, TRY_DEATHS, WITH_TRIES } from './support/tries.js';
import { discardInFront, REDRIVE_BEHIND } from './support/repairs.js';
import { UNDO_DEATHS } from './support/undoing.js';

const LOG = {
  subscriptions: [
    { name: 'ordered', isOrdered: true },
    { name: 'batch', batchSize: 8 },
  ],
};
const KEPT = { once: ['ordered', 'batch'], ordered: ['ordered'] };
const FAILING = { kinds: ['ok', 'throw-once', 'ok'] } as const;
/** What is in work is a stored delivery, because nothing is new. */
const OF_STORED = { before: leaveFailed, publishing: { count: 0 } };
/** Messages of one key are sent one after another: a process dies with some of them sent. */
const WAVES = { perUnit: 4 };
const ORDERED_ONLY = { once: ['ordered'], ordered: ['ordered'] };
const ORDERED = { name: 'ordered', isOrdered: true, attempts: 1 };
/** Half messages have no keys, and are asked about after five seconds. */
const HALF = { protocol: 'half-message', keys: 0 } as const;
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
      { at: 'unit:after-take', hit: 7 },
      { at: 'inbox:after-insert', hit: 7 },
      { at: 'handler:after', hit: 7 },
      { at: 'unit:after-handling', hit: 7 },
    ],
  },
  {
    what: 'in retries and house-keeping',
    options: { subscriptions: LOG.subscriptions.map((each) => ({ ...each, isHeedless: true })) },
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
      { at: 'count:after-record', before: dieInWork },
      { at: 'inbox:after-insert', hit: 2, ...OF_STORED },
      { at: 'handler:after', hit: 2, ...OF_STORED },
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
      { at: 'inbox:after-insert', hit: 4 },
      { at: 'handler:after', hit: 4 },
      { at: 'lease:after-take', hit: 2, ...OF_STORED },
      { at: 'lease:after-handler', hit: 2, ...OF_STORED },
      { at: 'lease:after-done', hit: 2, ...OF_STORED },
    ],
  },
  {
    what: 'at the start, when subscriptions are new',
    options: LOG,
    promises: KEPT,
    deaths: [
      { at: 'subscription:before-cursors', hit: 2, before: publishFirst, left: leftWithoutCursors },
      { at: 'subscription:before-cursors', hit: 2, before: publishElsewhere, left: leftWithoutCursors },
    ],
  },
  {
    what: 'when an operator discards what is in front of a key',
    options: { subscriptions: [{ ...ORDERED, onDeadLetter: 'block' }] },
    promises: { ...ORDERED_ONLY, never: ['throw'] },
    deaths: [discardInFront(1), discardInFront(2)],
  },
  {
    what: 'when an operator redrives what comes behind an unfinished one',
    options: { subscriptions: [{ ...ORDERED, onDeadLetter: 'skip', isMended: true, slowMs: 1000 }] },
    promises: ORDERED_ONLY,
    deaths: [REDRIVE_BEHIND],
  },
  {
    what: 'of a half message that goes into the log',
    options: { subscriptions: [{ name: 'single' }, { name: 'batch', batchSize: 8 }] },
    promises: { once: ['single', 'batch'] },
    deaths: [
      { at: 'half-message:after-register', hit: 7, publishing: HALF },
      { at: 'unit:before-commit', hit: 4, publishing: HALF },
      { at: 'unit:after-commit', hit: 4, publishing: HALF },
      { at: 'half-message:after-decision', before: dieAfterCommit, work: (program) => program.end() },
    ],
  },
  {
    what: 'of a half message on its way to a broker',
    options: { transport: 'spool', subscriptions: [{ name: 'relayed' }] },
    promises: { once: ['relayed'] },
    deaths: [
      { at: 'half-message:after-register', hit: 7, publishing: HALF },
      { at: 'unit:after-commit', hit: 4, publishing: HALF },
      { at: 'half-message:before-publish', hit: 2, publishing: HALF },
      { at: 'half-message:after-publish', hit: 2, publishing: { ...HALF, perUnit: 3 } },
      { at: 'half-message:after-publish', publishing: { ...HALF, kinds: ['refuse-once'] } },
    ],
  },
  {
    what: 'between the log and a broker',
    options: { transport: 'spool', subscriptions: [{ name: 'relayed' }] },
    promises: { once: ['relayed'] },
    deaths: [
      { at: 'relay:after-read', hit: 2, publishing: WAVES },
      { at: 'relay:after-publish', hit: 2, publishing: WAVES },
      { at: 'relay:after-advance', hit: 2, publishing: WAVES },
      { at: 'parked:after-publish', publishing: { ...WAVES, kinds: ['ok', 'refuse-once', 'ok'] } },
    ],
  },
];

/** What it leaves, the next one asks about: and that one dies with the answer. */
async function dieAfterCommit({ options }: Scene): Promise<Program> {
  // Beside one that knows the subscriptions, so that only units that publish count up to its death.
  const reader = await new Program(options).ready();
  const dead = await new Program({ ...options, subscriptions: [] }, { failpoint: 'unit:after-commit=kill@3' }).ready();
  await reader.kill();
  dead.order({ publish: { ...HALF, prefix: 'dead', count: 10 } });
  await dead.end();
  return dead;
}

/** Before there is a second subscription. */
async function publishFirst({ options }: Scene): Promise<Program> {
  const program = await new Program({ ...options, subscriptions: options.subscriptions.slice(0, 1) }).ready();
  await program.publish({ count: 20 });
  await program.stop();
  return program;
}

/** While nobody serves the subscriptions. */
async function publishElsewhere({ options }: Scene): Promise<Program> {
  const program = await new Program({ ...options, service: 'elsewhere', subscriptions: [] }).ready();
  await program.publish({ count: 20 });
  await program.stop();
  return program;
}

async function leftWithoutCursors(arena: Arena): Promise<void> {
  const rows = await arena.look(
    `select s.name, count(c.lane)::int as cursors from holdfast_subscription s left join holdfast_cursor c on c.subscription_id = s.id group by 1 order by 1`,
  );
  expect(rows).toEqual([
    { name: 'batch', cursors: 0 },
    { name: 'ordered', cursors: 8 },
  ]);
}

describe('kill -9 at every failpoint', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms);

  it('is tried at every failpoint there is', () => {
    const deaths = [
      ...CHAINS.flatMap((chain) => chain.deaths),
      ...METHOD_DEATHS,
      ...SAGA_DEATHS,
      ...TRIP_DEATHS,
      ...UNDO_DEATHS,
      ...TRY_DEATHS,
    ];
    const tried = deaths.map(({ at }) => at);
    expect([...new Set([...tried, ...DEATHS_IN_KAFKA])].sort()).toEqual([...FAILPOINTS].sort());
  });

  it.concurrent.each(CHAINS)('loses nothing and doubles nothing $what', async ({ options, promises, deaths }) => {
    const lanes = options.lanes ?? 8;
    const arena = await openArenaWithStore(lanes);
    const scene: Scene = { arena, options: { ...options, lanes, url: arena.url } };
    const died: Program[] = [];
    const others: Program[] = [];
    for (const death of deaths) {
      if (death.before !== undefined) others.push(await death.before(scene));
      died.push(await die(scene, death));
    }
    const last = await new Program(scene.options).ready();
    // Not `count`: a slow machine may refuse some.
    await last.publish({ untilAcknowledged: 20 });
    const { faults, ...figures } = await account(arena, [...died, ...others, last], { ...promises, minimum: 20 });
    const ends = await Promise.all(died.map(({ ended }) => ended));
    expect({ faults, figures, ends: ends.map(({ signal }) => signal) }).toMatchObject({ faults: [], ends: ends.map(() => 'SIGKILL') });
    await last.stop();
    await arena.close();
  });

  it.concurrent.each(SAGA_DEATHS)(
    'at $at (hit $hit) of a saga each step and each compensation has its effect once, in order, and every saga ends',
    async (death) => {
      const arena = await openArenaWithStore(WITH_SAGAS.lanes);
      expect(await endOfSagas(arena, death)).toEqual({ signal: 'SIGKILL', wrong: [], ended: 9 });
      await arena.close();
    },
  );

  it.concurrent.each(TRIP_DEATHS)(
    'at $at (hit $hit) of a choreographed saga each part is done and undone once, in order, and rooms and seats add up',
    async (death) => {
      const arena = await openArenaWithStore(WITH_TRIPS.lanes);
      expect(await endOfTrips(arena, death)).toEqual({ signal: 'SIGKILL', open: [], wrong: [], missing: 0, rooms: 4, seats: 4 });
      await arena.close();
    },
  );

  it.concurrent.each(TRY_DEATHS)(
    'at $at (hit $hit) of a try it is confirmed where its unit has committed and cancelled where it has not, once, and points add up',
    async (death) => {
      const arena = await openArenaWithStore(WITH_TRIES.lanes);
      expect(await endOfTries(arena, death)).toEqual({ signal: 'SIGKILL', faults: [] });
      await arena.close();
    },
  );

  it.concurrent.each(METHOD_DEATHS)(
    'at $at of an idempotent method (transactional: $isTransactional) the next caller has its effect as documented',
    async (death) => {
      const arena = await openArenaWithStore(2);
      const { effects, result, hasToWait } = death;
      expect(await takeOver(arena, death)).toEqual({
        signal: 'SIGKILL',
        effects,
        results: [result, result],
        fresh: 'next',
        hasWaited: hasToWait,
      });
      await arena.close();
    },
  );
});
