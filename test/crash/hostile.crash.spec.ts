import { until } from '@holdfast-internal/test-support';
import type { Kind, ProgramOptions, Subscribing } from './programs/options.js';
import { account } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { none } from './support/deaths.js';
import { acknowledged } from './support/endure.js';
import { buildPrograms, killPrograms, Program, Supervised } from './support/program.js';

/** How often a supervisor may see a message kill its process before the message is put away: its attempts, and a few before anybody knew. */
const ATTEMPTS = 3;
/** Messages that flow before the first process is killed, and again when all has healed. */
const BEFORE = 20;
const AFTERWARDS = 10;

interface Letter {
  readonly subscription: string;
  readonly message_id: string;
  readonly state: string;
  readonly attempts: number;
  readonly error_code: string;
  readonly error_message: string;
}

function letters(arena: Arena): Promise<Letter[]> {
  return arena.look<Letter>(
    `select s.name as subscription, d.message_id, d.state, d.attempts, d.error_code, d.error_message
     from holdfast_delivery d join holdfast_subscription s on s.id = d.subscription_id order by 1, 2`,
  );
}

const SILENT_MS = 4000;
const heard = new WeakMap<Program, { lines: number; at: number }>();

/** What a liveness probe does: a process that has said nothing for too long is killed. */
async function killSilent(nodes: readonly Supervised[]): Promise<void> {
  for (const program of nodes.flatMap((node) => node.programs.slice(-1))) {
    const { length } = program.lines;
    const last = heard.get(program);
    if (last === undefined || last.lines !== length) heard.set(program, { lines: length, at: performance.now() });
    else if (performance.now() - last.at > SILENT_MS && program.said('ready').length > 0) await program.kill();
  }
}

const both = (policies: Partial<Subscribing>): Subscribing[] => [
  { name: 'unit', ...policies },
  { name: 'batch', batchSize: 8, ...policies },
  { name: 'leased', isTransactional: false, lockTtlMs: 10_000, ...policies },
];

describe('messages whose handlers never succeed', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms);

  // The one that lasts longest first: five are at work at a time.
  it.concurrent.each<[string, Subscribing, number]>([
    ['after longer than it takes to find a dead process', { name: 'unit' }, 8000],
    ['outside any transaction', { name: 'leased', isTransactional: false, isIdempotent: false }, 100],
    [
      'outside any transaction, and leave claims that outlive their places',
      { name: 'leased', isTransactional: false, lockTtlMs: 12_000 },
      100,
    ],
  ])('kill both of two processes that are started again at once, %s: the same', async (_what, subscription, ms) => {
    const arena = await openArena();
    const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: [{ ...subscription, attempts: ATTEMPTS }] };
    const nodes = [new Supervised(options), new Supervised(options)];
    const [first] = await Promise.all(nodes.map((node) => node.current()));
    await first?.publish({ prefix: 'm', count: 20, kinds: ['ok'], rollbackShare: 0 });
    first?.order({ publish: { prefix: 'killer', count: 1, kinds: ['kill'], ms, rollbackShare: 0 } });
    await until('the end of the killer', async () => (await letters(arena)).some(({ state }) => state === 'dead'), 150_000);
    const deaths = nodes.reduce((sum, node) => sum + node.deaths, 0);
    await (await nodes[0]?.current())?.publish({ untilAcknowledged: AFTERWARDS });
    const minimum = 20 + AFTERWARDS;
    const promises = { [subscription.name === 'unit' ? 'once' : 'atLeastOnce']: [subscription.name], never: ['kill'], minimum };
    const { faults } = await account(
      arena,
      nodes.flatMap(({ programs }) => programs),
      promises,
    );
    await Promise.all(nodes.map((node) => node.stop()));
    const dead = (await letters(arena)).map(({ message_id, error_code, attempts }) => ({ message_id, error_code, attempts }));
    const letter = { message_id: 'killer-0', error_code: 'HF_HANDLER_UNSETTLED_KILLED', attempts: ATTEMPTS };
    expect({ faults, dead }).toEqual({ faults: [], dead: [letter] });
    // Its attempts, and those before the first process was found dead.
    expect(deaths).toBeLessThanOrEqual(ATTEMPTS + 6);
    await arena.close();
  });

  it.concurrent('throw, hang or block their connection: each ends as a dead letter, and those beside it are handled', async () => {
    const arena = await openArena();
    const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: both({ timeoutMs: 3000, attempts: ATTEMPTS }) };
    const program = await new Program(options).ready();
    await program.publish({
      prefix: 'm',
      count: 40,
      kinds: ['ok', 'ok', 'throw', 'ok', 'hang', 'ok', 'pg-sleep', 'ok', 'ok', 'ok'],
      rollbackShare: 0,
    });
    const never: readonly Kind[] = ['throw', 'hang', 'pg-sleep'];
    const promises = { once: ['unit', 'batch'], atLeastOnce: ['leased'], never };
    expect((await account(arena, [program], { ...promises, minimum: 40 })).faults).toEqual([]);
    await until(
      'the end of all attempts',
      async () => (await letters(arena)).filter(({ state }) => state === 'dead').length === 36,
      90_000,
    );
    await program.publish({ untilAcknowledged: AFTERWARDS });
    expect((await account(arena, [program], { ...promises, minimum: 40 + AFTERWARDS })).faults).toEqual([]);
    const dead = await letters(arena);
    expect(dead.filter(({ attempts }) => attempts !== ATTEMPTS)).toEqual([]);
    const codes = (index: number) =>
      dead.filter(({ message_id }) => Number(message_id.slice(2)) % 10 === index).map(({ error_code }) => error_code);
    expect(new Set(codes(2))).toEqual(new Set(['Error']));
    expect(new Set([...codes(4), ...codes(6)])).toEqual(new Set(['HF_HANDLER_TIMEOUT']));
    const [effects] = await arena.look<{ n: string }>(
      `select count(*) as n from effect e join intent i using (message_id) where i.kind = any($1) and e.subscription <> 'leased'`,
      [never],
    );
    expect(effects?.n).toBe('0');
    // Nothing of theirs is left on the server.
    await none(
      arena,
      `select count(*) as n from pg_stat_activity where datname = current_database() and query like '%pg_sleep(600)%' and state = 'active' and pid <> pg_backend_pid()`,
    );
    expect((await program.stop()).code).toBe(0);
    await arena.close();
  });

  it.concurrent('freeze every process that takes them, which then is killed: the same', async () => {
    const arena = await openArena();
    const subscriptions = [{ name: 'unit', attempts: 2 }];
    const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions, memoryEveryMs: 200 };
    const nodes = [new Supervised(options), new Supervised(options)];
    const [first] = await Promise.all(nodes.map((node) => node.current()));
    await first?.publish({ prefix: 'm', count: 20, kinds: ['ok'], rollbackShare: 0 });
    first?.order({ publish: { prefix: 'killer', count: 1, kinds: ['spin'], ms: 600_000, rollbackShare: 0 } });
    const probe = setInterval(() => void killSilent(nodes), 500);
    await until('the end of the killer', async () => (await letters(arena)).some(({ state }) => state === 'dead'));
    clearInterval(probe);
    // Of the others, one may still be frozen.
    const healthy = await new Program(options).ready();
    await healthy.publish({ untilAcknowledged: AFTERWARDS });
    const programs = [...nodes.flatMap((node) => node.programs), healthy];
    const { faults } = await account(arena, programs, { once: ['unit'], never: ['spin'], minimum: 20 + AFTERWARDS });
    const dead = (await letters(arena)).map(({ message_id, error_code, attempts }) => ({ message_id, error_code, attempts }));
    expect({ faults, dead }).toEqual({
      faults: [],
      dead: [{ message_id: 'killer-0', error_code: 'HF_HANDLER_UNSETTLED_KILLED', attempts: 2 }],
    });
    expect(programs.filter(({ hasEnded }) => hasEnded).length).toBeLessThanOrEqual(5);
    for (const node of nodes) node.giveUp();
    await Promise.all(programs.map((program) => program.kill()));
    await arena.close();
  });

  it.concurrent('kill every process that takes them: dead letters after bounded deaths, and nobody else pays', async () => {
    const arena = await openArena();
    const killed = [
      { name: 'unit', attempts: ATTEMPTS },
      { name: 'batch', batchSize: 8, attempts: ATTEMPTS },
    ];
    const options: ProgramOptions = { url: arena.url, lanes: 4, subscriptions: killed.map((each) => ({ ...each, slowMs: 30 })) };
    const program = await new Program(options).ready();
    program.order({ publish: { prefix: 'm', count: 60, kinds: ['ok'], rollbackShare: 0, perSecond: 150 } });
    await acknowledged([program], BEFORE);
    program.order({ publish: { prefix: 'killer', count: 1, kinds: ['kill'], ms: 100, rollbackShare: 0 } });
    await program.end();
    const supervised = new Supervised(options);
    const isPutAway = async () => (await letters(arena)).filter(({ state }) => state === 'dead').length >= killed.length;
    await until('the end of the killer', isPutAway);
    const deaths = supervised.deaths + 1;
    await (await supervised.current()).publish({ untilAcknowledged: AFTERWARDS });
    const promises = { once: ['unit', 'batch'], never: ['kill'], minimum: BEFORE + AFTERWARDS };
    const { faults } = await account(arena, [program, ...supervised.programs], promises);
    await supervised.stop();
    const dead = (await letters(arena)).map(({ message_id, error_code, attempts }) => ({ message_id, error_code, attempts }));
    const letter = { message_id: 'killer-0', error_code: 'HF_HANDLER_UNSETTLED_KILLED', attempts: ATTEMPTS };
    expect({ faults, dead }).toEqual({ faults: [], dead: killed.map(() => letter) });
    if (process.env.HOLDFAST_CRASH_FIGURES) console.info(`deaths: ${deaths}`);
    // Each subscription's attempts, and those before the first process was found dead: it takes six seconds, and a process starts in less than one.
    expect(deaths).toBeLessThanOrEqual(killed.length * ATTEMPTS + 20);
    await arena.close();
  });
});
