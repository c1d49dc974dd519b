// Heavy messages over a RabbitMQ of its own: whatever the broker and the consumers do, what waits is not kept in memory.
import { describeWithOwnRabbit, EmbeddedRabbitmq } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';

/** Four handlers at once that take 160 ms: 25 a second, so that a publisher is faster on a busy machine too. */
const SLOW = { slowMs: 160, concurrency: 4 };
const PER_SECOND = 60;
/** So heavy that 18 MB come in every second, and 60 MB are behind in the end: whoever keeps either is found. */
const LOAD = { prefix: 'load', perSecond: PER_SECOND, ballast: 300_000, keys: 64 } as const;
/** Messages after which all that a process needs for its work is there. */
const WARM = 120;
const MOST_GROWN_MIB = 40;

describeWithOwnRabbit('memory stays flat over RabbitMQ', () => {
  let rabbit: EmbeddedRabbitmq;
  beforeAll(async () => {
    buildPrograms();
    rabbit = await EmbeddedRabbitmq.start();
  });
  afterEach(killPrograms);
  afterAll(() => rabbit.remove());

  /** A publisher and a consumer, warm, with the load on its way. */
  async function open(exchange: string, handlers: { readonly slowMs: number; readonly concurrency: number }, count: number) {
    const arena = await openArena();
    const common: ProgramOptions = {
      url: arena.url,
      lanes: 1,
      broker: { url: rabbit.url, exchange },
      subscriptions: [],
      memoryEveryMs: 200,
    };
    const consumer = await new Program({ ...common, subscriptions: [{ name: 'slow', ...handlers }] }).ready();
    const publisher = await new Program(common).ready();
    publisher.order({ publish: { ...LOAD, count } });
    while ((await handled(arena)) < WARM) await pause(50);
    const programs = [publisher, consumer] as const;
    const peaks = () => programs.map((program) => program.said('memory').at(-1)?.peakMib as number);
    const before = peaks();
    /** MiB by which their peaks are higher now. */
    const grown = () => {
      if (process.env.HOLDFAST_CRASH_FIGURES) console.info(`MiB when warm: ${before}, at most: ${peaks()}`);
      return peaks().map((mib, index) => mib - (before[index] as number));
    };
    return { arena, programs, publisher, grown };
  }

  it('while a publisher is twice as fast as its consumers, and all of it is handled in the end', async () => {
    const { arena, programs, publisher, grown } = await open('overload', SLOW, 8 * PER_SECOND);
    await publisher.line('published', () => true, 60_000);
    // A publisher that stalled has been caught up with.
    for (let n = 0; (await behind(arena)) <= 50; n += 1)
      await publisher.publish({ ...LOAD, perSecond: undefined, prefix: `more-${n}`, count: 100 });
    const { faults } = await account(arena, programs, { once: ['slow'], minimum: 420 });
    expect(faults).toEqual([]);
    for (const mib of grown()) expect(mib).toBeLessThan(MOST_GROWN_MIB);
    await arena.close();
  });

  it('while the broker is short of memory, and what was published meanwhile arrives', async () => {
    const { arena, programs, publisher, grown } = await open('alarm', { slowMs: 20, concurrency: 4 }, 3 * PER_SECOND);
    rabbit.setMemoryAlarm(true);
    // All of it waits in the database, and is there to be read at once when the broker is well again.
    await publisher.publish({ ...LOAD, prefix: 'late', count: 300 });
    // Whose relay has the lane.
    await Promise.any(programs.map((program) => program.line('log', ({ message }) => message.startsWith('the broker takes no messages'))));
    expect(await behind(arena)).toBeGreaterThan(250);
    rabbit.setMemoryAlarm(false);
    const { faults } = await account(arena, programs, { once: ['slow'], minimum: 400 });
    expect(faults).toEqual([]);
    for (const mib of grown()) expect(mib).toBeLessThan(MOST_GROWN_MIB);
    await arena.close();
  });
});

async function handled(arena: Arena): Promise<number> {
  const [row] = await arena.look<{ n: string }>('select count(*) as n from effect');
  return Number(row?.n);
}

/** Messages that are published and not handled. */
async function behind(arena: Arena): Promise<number> {
  const [row] = await arena.look<{ n: string }>('select count(*) as n from intent');
  return Number(row?.n) - (await handled(arena));
}
