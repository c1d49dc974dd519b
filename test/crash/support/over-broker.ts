import { EmbeddedPostgres, PATIENCE_MS } from '@holdfast-internal/test-support';
import type { Carrier } from '../programs/carriers.js';
import type { ProgramOptions, Subscribing } from '../programs/options.js';
import { account, pause, rowsLeftBy } from './account.js';
import { type Arena, openArena, openArenaWithStore } from './arena.js';
import { type Chain, die, type Scene } from './deaths.js';
import { acknowledged } from './endure.js';
import { endSessions, killServer, outlive } from './endure.js';
import { untilAtWork } from './frozen.js';
import { Program, Supervised } from './program.js';
import { killAFewTimes } from './selling.js';

const LANES = 8;
const SUBSCRIPTIONS: readonly Subscribing[] = [
  { name: 'ordered', isOrdered: true },
  { name: 'batch', batchSize: 8 },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000 },
];
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'] };
const MIXED = ['ok', 'ok', 'slow', 'ok', 'throw-once', 'ok'] as const;
const ATTEMPTS = 3;
const HALF = { protocol: 'half-message', keys: 0 } as const;

const CHAINS: readonly Chain[] = [
  {
    what: 'between the log and the broker, and in a handler',
    options: { subscriptions: SUBSCRIPTIONS.slice(0, 2) },
    promises: { once: ['ordered', 'batch'], ordered: ['ordered'] },
    deaths: [
      { at: 'relay:after-read', hit: 2, publishing: { perUnit: 4 } },
      { at: 'relay:after-publish', hit: 2, publishing: { perUnit: 4 } },
      { at: 'relay:after-advance', hit: 2, publishing: { perUnit: 4 } },
      { at: 'inbox:after-insert', hit: 7 },
      { at: 'handler:after', hit: 7 },
      { at: 'failure:after-record', hit: 3, publishing: { kinds: ['ok', 'throw-once', 'ok'] } },
    ],
  },
  {
    what: 'of half messages on their way to the broker',
    options: { subscriptions: [{ name: 'batch', batchSize: 8 }] },
    promises: { once: ['batch'] },
    deaths: [
      { at: 'half-message:after-register', hit: 7, publishing: HALF },
      { at: 'half-message:before-publish', hit: 2, publishing: HALF },
      { at: 'half-message:after-publish', hit: 2, publishing: { ...HALF, perUnit: 3 } },
    ],
  },
  {
    what: 'outside any transaction',
    options: { subscriptions: SUBSCRIPTIONS.slice(2) },
    promises: { atLeastOnce: ['leased'] },
    deaths: [
      { at: 'inbox:after-insert', hit: 4 },
      { at: 'lease:after-handler', hit: 4 },
      { at: 'lease:after-done', hit: 4 },
    ],
  },
];

/**
 * What is broken over the database is broken over a broker too: the same programs, the same account.
 *
 * @param carrier what the programs of one case run over, which nobody else does
 */
export function breakOver(carrier: () => Pick<ProgramOptions, 'broker' | 'kafka' | 'rocketmq'>): void {
  const open = async (also: Partial<ProgramOptions> = {}): Promise<{ arena: Arena; options: ProgramOptions }> => {
    const arena = await openArenaWithStore(LANES);
    return { arena, options: { url: arena.url, lanes: LANES, ...carrier(), subscriptions: SUBSCRIPTIONS, ...also } };
  };

  it.concurrent.each(CHAINS)('kill -9 loses nothing and doubles nothing $what', async ({ options, promises, deaths }) => {
    const { arena, options: all } = await open(options);
    const scene: Scene = { arena, options: all };
    const died: Program[] = [];
    for (const death of deaths) died.push(await die(scene, death));
    const last = await new Program(all).ready();
    await last.publish({ count: 20 });
    const { faults } = await account(arena, [...died, last], { ...promises, minimum: 20 });
    const ends = await Promise.all(died.map(({ ended }) => ended));
    expect({ faults, ends: ends.map(({ signal }) => signal) }).toEqual({ faults: [], ends: ends.map(() => 'SIGKILL') });
    await last.stop();
    await arena.close();
  });

  it.concurrent('a process that is killed and one that is frozen with deliveries in hand are replaced, and nothing doubles when the frozen one wakes', async () => {
    const { arena, options } = await open();
    const programs = (await Promise.all([0, 1, 2].map(() => new Program(options).ready()))) as [Program, Program, Program];
    const [killed, sleeping, healthy] = programs;
    healthy.order({ publish: { prefix: 'load', count: 120, perSecond: 60, kinds: ['slow', 'ok', 'throw-once', 'ok'], ms: 300 } });
    await pause(800);
    killed.signal('SIGKILL');
    sleeping.signal('SIGSTOP');
    await healthy.line('published', () => true, 60_000);
    const taken = await account(arena, programs, { ...PROMISES, minimum: 100 });
    expect(taken.faults).toEqual([]);

    sleeping.signal('SIGCONT');
    await untilAtWork(arena, sleeping, healthy);
    expect((await account(arena, programs, { ...PROMISES, minimum: 130 })).faults).toEqual([]);
    await arena.close();
  });

  it('SIGTERM under load, twice: ends in time, and the next one goes on', async () => {
    const { arena, options } = await open({ stopTimeoutMs: 3000, publishesToTheEnd: true });
    const publishing = { prefix: 'load', perSecond: 60, concurrency: 8, kinds: MIXED, ms: 150 };
    const stopping = await new Program({ ...options, publishing }).ready();
    await stopping.line('called', ({ kind, subscription }) => kind === 'slow' && subscription === 'ordered');
    // So many that the run shows something, however slow the machine is.
    while (stopping.said('acknowledged').length < 60) await pause(20);
    stopping.signal('SIGTERM');
    await pause(20);
    const { code, ms } = await stopping.stop();
    expect(code).toBe(0);
    // To give back what has not ended takes two seconds more, and the rest is for a busy machine.
    expect(ms).toBeLessThan(20_000);
    expect(await rowsLeftBy(arena, stopping)).toEqual([]);
    const next = await new Program(options).ready();
    await next.publish({ count: 10 });
    const { faults } = await account(arena, [stopping, next], { ...PROMISES, minimum: 60 });
    expect(faults).toEqual([]);
    expect((await next.stop()).code).toBe(0);
    await arena.close();
  });

  it('fifty copies of one message have one effect in each subscription', async () => {
    const slow = SUBSCRIPTIONS.map((each) => ({ ...each, slowMs: 50, lockTtlMs: 30_000 })).filter(({ isOrdered }) => !isOrdered);
    const { arena, options } = await open({ subscriptions: slow });
    const programs = (await Promise.all([0, 1].map(() => new Program(options).ready()))) as [Program, Program];
    await programs[0].publish({ prefix: 'copy', count: 50, keys: 0, copyOf: 'the-one', concurrency: 8, rollbackShare: 0 });
    await programs[1].publish({ prefix: 'other', count: 20, keys: 0, rollbackShare: 0 });
    const { faults } = await account(arena, programs, { once: ['batch', 'leased'], minimum: 70 });
    expect(faults).toEqual([]);
    for (const program of programs) expect((await program.stop()).code).toBe(0);
    const effects = await arena.look(
      `select subscription, count(*)::int as n from effect where message_id = 'the-one' group by 1 order by 1`,
    );
    expect(effects).toEqual(['batch', 'leased'].map((subscription) => ({ subscription, n: 1 })));
    await arena.close();
  });

  it.concurrent('a message that kills every process that takes it ends as a dead letter, and nobody else pays', async () => {
    const killed = [
      { name: 'unit', attempts: ATTEMPTS },
      { name: 'batch', batchSize: 8, attempts: ATTEMPTS },
    ];
    const { arena, options } = await open({ subscriptions: killed.map((each) => ({ ...each, slowMs: 20 })) });
    const program = await new Program(options).ready();
    program.order({ publish: { prefix: 'm', count: 60, kinds: ['ok'], rollbackShare: 0, perSecond: 150 } });
    await acknowledged([program], 20);
    program.order({ publish: { prefix: 'killer', count: 1, kinds: ['kill'], ms: 100, rollbackShare: 0 } });
    await program.end();
    const supervised = new Supervised(options);
    // Who was killed had sent it, and may not have noted that: the broker may have copies of it, and a copy that comes when the first is dead ends likewise.
    const dead = () =>
      arena.look<{ message_id: string; error_code: string; attempts: number }>(
        `select distinct subscription_id, message_id, error_code, attempts from holdfast_delivery where state = 'dead' order by subscription_id`,
      );
    for (const end = performance.now() + 2 * PATIENCE_MS; (await dead()).length < killed.length; await pause(100))
      if (performance.now() > end) throw new Error(`after ${supervised.deaths} deaths it is no dead letter`);
    const deaths = supervised.deaths + 1;
    await (await supervised.current()).publish({ untilAcknowledged: 10 });
    const promises = { once: ['unit', 'batch'], never: ['kill'], minimum: 30 };
    const { faults } = await account(arena, [program, ...supervised.programs], promises);
    await supervised.stop();
    const letter = { message_id: 'killer-0', error_code: 'HF_HANDLER_UNSETTLED_KILLED', attempts: ATTEMPTS };
    const letters = killed.map(() => ({ ...letter, subscription_id: expect.any(Number) }));
    expect({ faults, dead: await dead() }).toEqual({ faults: [], dead: letters });
    if (process.env.HOLDFAST_CRASH_FIGURES) console.info(`deaths: ${deaths}`);
    expect(deaths).toBeLessThanOrEqual(killed.length * ATTEMPTS + 20);
    await arena.close();
  });
}

/** Sagas over two services, which ask each other over a broker, and tries beside them. @param carrier as above */
export function killSagasOver(carrier: () => Carrier): void {
  it.concurrent('sagas over two services, and tries beside them, all end when both are killed, each step done once or undone once', async () => {
    const arena = await openArena();
    expect(await killAFewTimes(arena, carrier())).toEqual({ wrong: [], open: 0, survivors: [], hasCompleted: true, faultsOfTries: [] });
    await arena.close();
  });
}

/** What breaks at the database under a bus over a broker. @param carrier as above */
export function breakStoreUnder(carrier: () => Carrier): void {
  it.concurrent('a database server that is killed under load, and sessions of it that end, lose, double and disorder nothing', async () => {
    const postgres = await EmbeddedPostgres.start();
    try {
      const arena = await openArena(await postgres.createDatabase('killed'));
      await outlive(arena, carrier(), async (programs) => {
        await killServer(postgres, programs);
        await endSessions(arena, programs);
      });
    } finally {
      await postgres.remove();
    }
  });
}
