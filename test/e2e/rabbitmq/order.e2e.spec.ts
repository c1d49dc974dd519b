import {
  describeWithRabbit,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
  pause,
  createStoreDatabase,
} from '@holdfast-internal/test-support';
import { Holdfast, Message, silentLogger } from '@holdfast/core';
import { rabbitmq, type RabbitmqOptions } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

const PARTITIONS = 6;

@Message('account.booked')
class Booked {
  constructor(readonly n: number) {}
}

/** One process of the service, with a pool of its own. */
interface Running {
  readonly bus: Holdfast;
  readonly dataSource: DataSource;
}

describeWithRabbit("ordering: 'key' over RabbitMQ", () => {
  // More than all waits of a test together: one that fails says what it waited for.
  let area: RabbitArea;
  let database: TestDatabase;
  let window: DataSource;
  let exchange: string;
  const running = new Set<Running>();
  const queues: string[] = [];

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    database = await createStoreDatabase(4);
    window = await new DataSource({ type: 'postgres', url: database.url, poolSize: 4 }).initialize();
    await window.query(
      'create table effect (at bigint generated always as identity, key text not null, n int not null, node int not null)',
    );
    exchange = area.name();
    queues.push(...partitions(), `${exchange}/bank:dead/bank.book`);
  });
  afterEach(async () => {
    await Promise.all([...running].map(stop));
    await window.destroy();
    await database.drop();
    await area.clear(queues);
  });

  const partitions = () => Array.from({ length: PARTITIONS }, (_, n) => `${exchange}/bank:${n}/bank.book`);

  let nodes = 0;
  async function start(work: (n: number) => Promise<unknown> = () => pause(4), options: Partial<RabbitmqOptions> = {}): Promise<Running> {
    const dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 10 }).initialize();
    nodes += 1;
    const node = nodes;
    const bus = new Holdfast(
      {
        service: 'bank',
        transport: rabbitmq({ url: area.url, exchange, heartbeat: '2s', startTimeout: '60s', partitions: PARTITIONS, ...options }),
        store: typeorm({ dataSource, lanes: 4 }),
      },
      { logger: silentLogger },
    ).on(
      Booked,
      async ({ n }, { key }) => {
        await work(n);
        await dataSource.query('insert into effect (key, n, node) values ($1, $2, $3)', [key, n, node]);
      },
      {
        name: 'bank.book',
        ordering: 'key',
        retry: { attempts: 5, backoff: { delay: '50ms', jitter: 'none' } },
        idempotent: true,
        transactional: true,
      },
    );
    const one = { bus, dataSource };
    running.add(one);
    await bus.start();
    return one;
  }

  async function stop(one: Running): Promise<void> {
    running.delete(one);
    await one.bus.stop({ timeout: '10s' });
    await one.dataSource.destroy();
  }

  /** Partitions of each process that has some. */
  const shares = async (): Promise<number[]> =>
    (
      await window.query(
        `select count(*)::int as n from holdfast_lease where scope like 'partitions of %' and owner_token is not null group by node_id order by 1`,
      )
    ).map(({ n }: { n: number }) => n);

  const shared = (...wanted: number[]) => waitFor(`shares ${wanted.join()}`, shares, (found) => found.join() === wanted.join());

  const effects = async (): Promise<{ key: string; n: number; node: number }[]> =>
    window.query('select key, n, node from effect order by at');

  const handled = async (): Promise<number> => (await window.query('select count(*)::int as n from effect'))[0].n;

  const stored = async (): Promise<number> => (await window.query('select count(*)::int as n from holdfast_delivery'))[0].n;

  /** Where everything is. */
  const progress = async () => ({
    handled: await handled(),
    shares: await shares(),
    inQueues: await inQueues().catch(String),
    stored: await window.query(
      'select state, is_suspect, count(*)::int as n, min(next_attempt_at - now())::text as due_in, max(error_message) as error from holdfast_delivery group by 1, 2',
    ),
  });

  /** A failure tells where everything stands still. */
  async function waitFor<T>(what: string, look: () => Promise<T> | T, isGood: (value: T) => boolean): Promise<T> {
    try {
      return await eventually(look, isGood);
    } catch (error) {
      throw new Error(`${what}: ${(error as Error).message}; ${JSON.stringify(await progress())}`, { cause: error });
    }
  }

  /** Messages that are ready, and consumers, in each queue. */
  const inQueues = () =>
    area.as(async (admin) => {
      const counts: [messages: number, consumers: number][] = [];
      for (const queue of partitions()) {
        const { messageCount, consumerCount } = await admin.checkQueue(queue);
        counts.push([messageCount, consumerCount]);
      }
      return counts;
    });

  /** Each key has 1 to `count`, once and in this order. */
  async function assertOrdered(keys: readonly string[], count: number): Promise<void> {
    await waitFor(`${keys.length * count} effects`, handled, (n) => n >= keys.length * count);
    await pause(300);
    const all = await effects();
    const wanted = Array.from({ length: count }, (_, n) => n + 1);
    for (const key of keys) expect([key, all.filter((one) => one.key === key).map(({ n }) => n)]).toEqual([key, wanted]);
    expect(all).toHaveLength(keys.length * count);
  }

  const KEYS = Array.from({ length: 18 }, (_, n) => `account ${n}`);

  /** Rounds of one message for each key, until it is told to stop. `ahead`: rounds that are not handled yet, at most. */
  function publishing({ bus }: Running, everyMs: number, ahead = Infinity) {
    let made = 0;
    let isOver = false;
    const isFarAhead = async () => made - (await handled()) / KEYS.length >= ahead;
    const work = (async () => {
      for (; !isOver; await pause(everyMs)) {
        if (await isFarAhead()) continue;
        await Promise.all(KEYS.map((key) => bus.bus.publish(new Booked(made + 1), { key })));
        made += 1;
      }
    })();
    // Told by `stop`.
    work.catch(() => undefined);
    return {
      /** So many that begin from now on. */
      more: async (count: number) => {
        const wanted = made + 1 + count;
        await waitFor(
          `${wanted} rounds`,
          () => made,
          (n) => n >= wanted,
        );
      },
      /** How many there were. */
      stop: async (): Promise<number> => {
        isOver = true;
        await work;
        return made;
      },
    };
  }

  it('survives a rolling deploy of three processes: balanced before and after, each key in its order, once', async () => {
    // So that each partition has one in work and others behind it, and the machine has time for the deploy.
    const slow = () => start(() => pause(20));
    const olds = await Promise.all([slow(), slow(), slow()]);
    await shared(2, 2, 2);
    const publisher = await slow();
    await shared(1, 1, 2, 2);
    const rounds = publishing(publisher, 100, 4);
    for (const old of olds) {
      await rounds.more(2);
      await stop(old);
      await slow();
    }
    await shared(1, 1, 2, 2);
    await rounds.more(2);
    await assertOrdered(KEYS, await rounds.stop());
    expect(new Set((await effects()).map(({ node }) => node)).size).toBeGreaterThan(3);
  });

  it('hands a partition over with one message in work and others fetched behind it: the next process begins behind that one', async () => {
    let begin = (): void => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const old = await start(async (n) => {
      if (n !== 1) return;
      begin();
      await finished;
    });
    for (let n = 1; n <= 10; n += 1) await old.bus.bus.publish(new Booked(n), { key: 'account 0' });
    await begun;
    await start();
    const stopped = stop(old);
    await pause(1500);
    expect(await effects()).toEqual([]);
    finish();
    await stopped;
    await assertOrdered(['account 0'], 10);
  });

  it('keeps the order of a key when its connections are cut again and again', async () => {
    const one = await start();
    await start();
    await shared(3, 3);
    const rounds = publishing(one, 90, 10);
    for (let cuts = 0; cuts < 4; cuts += 1) {
      await pause(700);
      area.closeConnections?.();
    }
    await rounds.more(2);
    await assertOrdered(KEYS, await rounds.stop());
  });

  it('holds nothing while it is paused, and goes on in order', async () => {
    const one = await start();
    await start();
    await shared(3, 3);
    const by = { by: 'a test', reason: 'a test' };
    const rounds = publishing(one, 90);
    const goesOn = async () => {
      const before = await handled();
      await waitFor(`more than ${before} effects`, handled, (n) => n > before);
    };
    const nobodyTakes = () => waitFor('no consumers', inQueues, (all) => all.every(([, consumers]) => consumers === 0));
    const waiting = async () => (await inQueues()).reduce((sum, [messages]) => sum + messages, 0);
    await goesOn();
    await one.bus.subscriptions.pause('bank.book', by);
    await nobodyTakes();
    await rounds.more(2);
    await one.bus.subscriptions.resume('bank.book', by);
    await goesOn();
    await one.bus.subscriptions.pause('bank.book', by);
    await nobodyTakes();
    await rounds.more(2);
    const count = await rounds.stop();
    // Handled, in a queue, or put aside because it came back: nothing is in hand.
    const everywhere = async () => (await handled()) + (await waiting()) + (await stored());
    await waitFor(`${KEYS.length * count} messages`, everywhere, (n) => n === KEYS.length * count);
    expect(await waiting()).toBeGreaterThan(0);
    await one.bus.subscriptions.resume('bank.book', by);
    await assertOrdered(KEYS, count);
  });

  it('keeps later messages behind one that fails, and hands them over when it has succeeded', async () => {
    let failures = 0;
    await start(async (n) => {
      if (n === 2 && failures < 3) {
        failures += 1;
        throw new Error('not yet');
      }
    });
    for (let n = 1; n <= 5; n += 1) await [...running][0]?.bus.bus.publish(new Booked(n), { key: 'account 0' });
    await assertOrdered(['account 0'], 5);
    expect(failures).toBe(3);
  });

  it('has as many partitions as its first start made, whatever comes later', async () => {
    await start();
    await start(undefined, { partitions: 2 });
    await shared(3, 3);
    const rounds = publishing([...running][1] as Running, 0);
    await rounds.more(4);
    await assertOrdered(KEYS, await rounds.stop());
  });

  it('is refused where a queue is left from when it had no order', async () => {
    await area.as((admin) => admin.assertQueue(`${exchange}/bank/bank.book`, { durable: true }));
    queues.push(`${exchange}/bank/bank.book`);
    await expect(start()).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      message: expect.stringContaining('give the subscription another name'),
    });
  });
});
