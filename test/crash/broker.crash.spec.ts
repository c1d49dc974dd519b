import { Client } from 'pg';
import { describeWithOwnRabbit, EmbeddedRabbitmq, measured } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { none } from './support/deaths.js';
import { acknowledged, firstEffectMs } from './support/endure.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';

// A message may be in work at every one of several cuts; none is to become a dead letter of it.
const SUBSCRIPTIONS = [
  { name: 'ordered', isOrdered: true, attempts: 30 },
  { name: 'batch', batchSize: 8, attempts: 30 },
  { name: 'leased', isTransactional: false, lockTtlMs: 2000, attempts: 30 },
];
const PROMISES = { once: ['ordered', 'batch'], ordered: ['ordered'], atLeastOnce: ['leased'] };
const LOAD = {
  concurrency: 4,
  count: 120,
  perSecond: 20,
  kinds: ['ok', 'ok', 'ok', 'forward', 'ok', 'ok', 'ok', 'ok', 'throw-once'],
} as const;
/** Units after which a broker under load breaks: most of the load is still to come. */
const BROKEN_AFTER = 40;
/** Messages that a broker has when its memory ends. */
const EARLY = 40;
/** How late the first effect may be after the broker lets a client in. */
const RECOVERY_MS = 2000;

describeWithOwnRabbit('a broker that breaks under load', () => {
  let rabbit: EmbeddedRabbitmq;
  beforeAll(async () => {
    buildPrograms();
    rabbit = await EmbeddedRabbitmq.start();
  });
  afterEach(killPrograms);
  afterAll(() => rabbit.remove());

  const optionsOf = (arena: Arena, exchange: string): ProgramOptions => ({
    url: arena.url,
    lanes: 8,
    broker: { url: rabbit.url, exchange, heartbeat: '2s', partitions: 4, confirmTimeout: '5s' },
    subscriptions: SUBSCRIPTIONS,
  });

  /** Breaks it so often under load, and accounts for all of it. How late the first effect was each time. */
  async function breakUnderLoad(how: 'stopped' | 'killed', times: number, exchange: string): Promise<readonly number[]> {
    const arena = await openArena();
    const options = optionsOf(arena, exchange);
    const programs = (await Promise.all([new Program(options).ready(), new Program(options).ready()])) as [Program, Program];
    const tookMs: number[] = [];
    for (let time = 0; time < times; time += 1) {
      const load = Promise.all(programs.map((program) => program.publish(LOAD)));
      await acknowledged(programs, BROKEN_AFTER);
      await (how === 'stopped' ? rabbit.stop() : rabbit.kill());
      await pause(300);
      await rabbit.start();
      const flows = firstEffectMs(arena);
      // Also when the load is over.
      await programs[0].publish({ count: 5, rollbackShare: 0 });
      tookMs.push(await flows);
      await load;
    }
    const { faults } = await account(arena, programs, { ...PROMISES, minimum: 200, brokerSays: () => rabbit.queues() });
    expect(faults).toEqual([]);
    if (process.env.HOLDFAST_CRASH_FIGURES) console.info(`first effects ${tookMs.join(', ')} ms after a client was let in`);
    for (const program of programs) expect((await program.stop()).code).toBe(0);
    await arena.close();
    return tookMs;
  }

  it.each([
    ['stopped', 1],
    ['killed', 2],
  ] as const)(
    'is %s and started again: nothing is lost, doubled or out of order, and it goes on within two seconds',
    async (how, times) => {
      let runs = 0;
      const run = () => {
        runs += 1;
        return breakUnderLoad(how, times, `${how}-${runs}`);
      };
      const isKept = (tookMs: readonly number[]) => tookMs.every((ms) => ms < RECOVERY_MS);
      const tookMs = await measured(run, isKept);
      expect(tookMs.filter((ms) => ms >= RECOVERY_MS)).toEqual([]);
    },
    1_200_000,
  );

  it('has no memory left: publishing waits in the database, handlers go on, and all of it arrives when it has some again', async () => {
    const arena = await openArena();
    // Handlers that wait for the table have connections, and publishers have others.
    const program = await new Program({ ...optionsOf(arena, 'alarm'), poolSize: 40 }).ready();
    const stranger = new Client({ connectionString: arena.url });
    await stranger.connect();
    await stranger.query('begin');
    await stranger.query('lock table effect in exclusive mode');
    await program.publish({ prefix: 'early', count: EARLY, rollbackShare: 0 });
    await none(
      arena,
      'select count(*) as n from holdfast_outbox o join holdfast_lane l using (lane) where o.id > coalesce(l.relay_position, l.trimmed_to)',
    );
    rabbit.setMemoryAlarm(true);
    await stranger.query('commit');
    await stranger.end();
    await program.publish({ prefix: 'late', count: 100, rollbackShare: 0 });
    await program.line('log', ({ message }) => message.startsWith('the broker takes no messages'));
    // All that the broker had is handled.
    await none(
      arena,
      `select ${SUBSCRIPTIONS.length * EARLY} - count(distinct (subscription, message_id)) as n from effect where message_id like 'early-%'`,
    );
    const [late] = await arena.look<{ n: string }>(
      `select count(*) as n from intent i where id like 'late-%' and not exists (select from effect e where e.message_id = i.message_id)`,
    );
    expect(Number(late?.n)).toBeGreaterThan(50);
    rabbit.setMemoryAlarm(false);
    const { faults } = await account(arena, [program], { ...PROMISES, minimum: 140 });
    expect(faults).toEqual([]);
    expect((await program.stop()).code).toBe(0);
    await arena.close();
  });
});
