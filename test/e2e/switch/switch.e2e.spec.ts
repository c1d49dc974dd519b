import {
  createTestDatabase,
  describeWithKafka,
  describeWithRabbit,
  eventually,
  openKafka,
  openRabbit,
  pause,
  type TestDatabase,
} from '@holdfast-internal/test-support';
import { type Carrier, Holdfast, Message, silentLogger, storeTools, type TransportFactory } from '@holdfast/core';
import { database as overDatabase } from '@holdfast/transport-database';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('shop.order-placed')
class OrderPlaced {
  constructor(
    readonly customer: string,
    readonly seq: number,
  ) {}
}

/** One effect of a handler, or what was committed, as text. */
type Fact = `${string} ${number}`;

const KEYS = 12;
const SUBSCRIPTIONS = ['shop.count', 'shop.ledger', 'shop.call'];
const BY = { by: 'a test' };

/** A broker to go to, with nothing of this run on it. */
interface Goal {
  readonly name: string;
  transport(): TransportFactory;
  clear(): Promise<void>;
}

describeWithRabbit('a service that goes from database() to rabbitmq()', () =>
  goesTo(async () => {
    const area = await openRabbit();
    const exchange = area.name();
    const queues = SUBSCRIPTIONS.map((name) => `${exchange}/shop/${name}`);
    return {
      name: 'rabbitmq',
      transport: () => rabbitmq({ url: area.url, exchange, partitions: 4, startTimeout: '60s' }),
      clear: () => area.drop(queues),
    };
  }),
);

describeWithKafka('a service that goes from database() to kafka()', () =>
  goesTo(async () => {
    const area = await openKafka();
    // Long enough for a busy machine: a process taken for dead has its messages handled twice where no inbox is asked for.
    const options = { brokers: [area.address], prefix: area.name(), partitions: 4, sessionTimeout: '20s', startTimeout: '60s' } as const;
    return { name: 'kafka', transport: () => kafka(options), clear: () => area.clear() };
  }),
);

function goesTo(open: () => Promise<Goal>): void {
  let goal: Goal;
  let database: TestDatabase;
  let dataSource: DataSource;
  const nodes: { readonly bus: Holdfast; readonly dataSource: DataSource }[] = [];

  beforeAll(async () => {
    goal = await open();
  });
  afterAll(() => goal?.clear());
  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = await connected(4);
    await dataSource.query(`create table intent (customer text not null, seq int not null)`);
    await dataSource.query(`create table customer (name text primary key, seq int not null)`);
    await dataSource.query(`insert into customer select 'c' || n, 0 from generate_series(0, ${KEYS}) n`);
    await dataSource.query(
      `create table effect (n bigserial primary key, subscription text not null, customer text not null, seq int not null)`,
    );
  });
  afterEach(async () => {
    for (const each of [...nodes]) await stop(each.bus);
    await dataSource.destroy();
    await database.drop();
  });

  const connected = (poolSize: number) => new DataSource({ type: 'postgres', url: database.url, poolSize }).initialize();

  const start = async (over: Carrier): Promise<Holdfast> => {
    const own = await connected(14);
    const transport = over === 'log' ? overDatabase() : goal.transport();
    const bus = new Holdfast({ service: 'shop', transport, store: typeorm({ dataSource: own, lanes: 4 }) }, { logger: silentLogger });
    nodes.push({ bus, dataSource: own });
    const book =
      (subscription: string) =>
      async ({ customer, seq }: OrderPlaced) =>
        void (await own.query('insert into effect (subscription, customer, seq) values ($1, $2, $3)', [subscription, customer, seq]));
    // The second one only is protected by an inbox: what came twice would show in the others.
    bus.on(OrderPlaced, book('shop.count'), { name: 'shop.count', transactional: true });
    bus.on(OrderPlaced, book('shop.ledger'), { name: 'shop.ledger', ordering: 'key', idempotent: true, transactional: true });
    bus.on(OrderPlaced, book('shop.call'), { name: 'shop.call' });
    await bus.start();
    return bus;
  };

  const stop = async (bus: Holdfast): Promise<void> => {
    const at = nodes.findIndex((node) => node.bus === bus);
    const [node] = nodes.splice(at, 1);
    await bus.stop({ timeout: '10s' });
    await node?.dataSource.destroy();
  };

  /** A customer's order, in a transaction of which the message is a part from before its end on. The customer's row keeps his orders apart. */
  const order = async (bus: Holdfast, customer: string, end: () => Promise<void>): Promise<void> => {
    const own = nodes.find((node) => node.bus === bus)?.dataSource as DataSource;
    await own.transaction(async (manager) => {
      const [[{ seq }]] = await manager.query('update customer set seq = seq + 1 where name = $1 returning seq', [customer]);
      await manager.query('insert into intent values ($1, $2)', [customer, seq]);
      await bus.unitOfWork.join(manager, () => bus.bus.publish(new OrderPlaced(customer, seq), { key: customer }));
      await end();
    });
  };

  /** Orders all the time, one in ten of them rolled back with its ids drawn, over whatever process runs. */
  const load = (): { stop(): Promise<void> } => {
    let isOver = false;
    const place = async (first: number) => {
      for (let n = first; !isOver; n += 1) {
        const bus = nodes[n % nodes.length]?.bus;
        // The test has failed.
        if (bus === undefined) return;
        const end = async () => {
          if (n % 10 === 9) throw new Error('refused');
        };
        await order(bus, `c${n % KEYS}`, end).catch(() => undefined);
        // All of it is one process here, which is to have time for what it does beside that.
        await pause(25);
      }
    };
    const all = [0, 3, 7].map(place);
    return {
      stop: async () => {
        isOver = true;
        await Promise.all(all);
      },
    };
  };

  const operator = () => storeTools(typeorm({ dataSource }), 'shop').store.carrier;
  const committed = async (): Promise<Fact[]> =>
    ((await dataSource.query('select customer, seq from intent')) as OrderPlaced[]).map(({ customer, seq }): Fact => `${customer} ${seq}`);
  const effects = async (subscription: string): Promise<Fact[]> =>
    ((await dataSource.query('select customer, seq from effect where subscription = $1 order by n', [subscription])) as OrderPlaced[]).map(
      ({ customer, seq }): Fact => `${customer} ${seq}`,
    );
  const carriers = async () => (await operator().show()).subscriptions.map(({ name, carrier }) => `${name}: ${carrier}`);

  it('gives every committed message one effect, in order within its key, while processes roll, writers go on, and one is slow', async () => {
    const [first, second] = [await start('log'), await start('log')];
    const orders = load();
    await pause(1000);
    await expect(operator().switchTo(goal.name, BY)).rejects.toMatchObject({
      code: 'HF_TRANSPORT_SWITCH_REFUSED',
      message: expect.stringContaining(`no process of shop with ${goal.name} serves shop.ledger (those that run have database)`),
    });
    const third = await start('broker');
    await stop(first);
    await start('broker');
    await pause(500);
    expect(await carriers()).toEqual(['shop.call: log', 'shop.count: log', 'shop.ledger: log']);

    let endSlow = (): void => undefined;
    const isSlow = new Promise<void>((resolve) => {
      endSlow = resolve;
    });
    let begin = (): void => undefined;
    const hasBegun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const slow = order(third, `c${KEYS}`, () => {
      begin();
      return isSlow;
    });
    await Promise.race([hasBegun, slow]);
    await operator().switchTo(goal.name, BY);
    await eventually(
      () => dataSource.query('select lane from holdfast_lane where relay_position > log_end'),
      (rows) => rows.length === 4,
    );
    const before = new Set(await committed());
    await pause(1000);
    // What keeps no order does not wait for the slow one; what does, does.
    await eventually(
      () => effects('shop.count'),
      (facts) => facts.some((fact) => !before.has(fact)),
    );
    expect((await effects('shop.ledger')).filter((fact) => !before.has(fact))).toEqual([]);
    expect(await carriers()).toContain('shop.ledger: log');
    endSlow();
    await slow;
    await stop(second);
    await pause(1000);
    await orders.stop();

    await eventually(carriers, (all) => all.every((each) => each.endsWith('broker')));
    const wanted = (await committed()).sort();
    for (const subscription of SUBSCRIPTIONS)
      await eventually(
        () => effects(subscription),
        ({ length }) => length >= wanted.length,
      );
    await Promise.all(nodes.map(({ bus }) => bus.settled(30_000)));
    for (const subscription of SUBSCRIPTIONS) expect((await effects(subscription)).sort()).toEqual(wanted);
    const ledger = await effects('shop.ledger');
    for (let key = 0; key <= KEYS; key += 1) {
      const seqs = ledger.filter((fact) => fact.startsWith(`c${key} `)).map((fact) => Number(fact.split(' ')[1]));
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    }
    expect((await third.deadLetters.list()).items).toEqual([]);
    expect((await third.outbox.stats()).backlog).toBe(0);
    await expect(start('log')).rejects.toMatchObject({ code: 'HF_TRANSPORT_SWITCHED' });
    await expect(operator().switchTo(goal.name, BY)).rejects.toThrow('it was moved to a broker before');
  });
}
