// Half messages: a COMMIT that nobody heard of, one that takes long, and what is and is not in the outbox.
import {
  type BlackHole,
  createTestDatabase,
  ears,
  eventually,
  openBlackHole,
  pause,
  type TestDatabase,
} from '@holdfast-internal/test-support';
import { armFailpoint, Holdfast, Message, silentLogger, subscribe, type TransportContext } from '@holdfast/core';
import { database as databaseTransport } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('till.paid')
class Paid {
  constructor(readonly n: number) {}
}

const hear = ears();
const HALF = { protocol: 'half-message' } as const;

let testDatabase: TestDatabase;
let way: BlackHole;
let till: Holdfast;
let tillSource: DataSource;
let books: Holdfast;
let booksSource: DataSource;

beforeEach(async () => {
  testDatabase = await createTestDatabase();
  way = await openBlackHole(testDatabase.url);
  booksSource = await connect(testDatabase.url);
  await booksSource.query('create table sale (n int primary key); create table effect (n int not null)');
  await booksSource.query('create table slow (ms int)');
  await booksSource.query(
    `create function sleep() returns trigger language plpgsql as 'begin perform pg_sleep(new.ms / 1000.0); return null; end'`,
  );
  await booksSource.query(
    'create constraint trigger slow after insert on slow deferrable initially deferred for each row execute function sleep()',
  );
  books = busOn(booksSource);
  books.on(Paid, async ({ n }) => void (await booksSource.query('insert into effect values ($1)', [n])), {
    name: 'books.enter',
    idempotent: true,
    transactional: true,
  });
  await books.start();
  tillSource = await connect(way.url);
  till = busOn(tillSource);
  await till.start();
});

afterEach(async () => {
  // The till may have lost its way.
  way.cut();
  await till.stop({ timeout: '2s' });
  await tillSource.destroy();
  await books.stop({ timeout: '2s' });
  await booksSource.destroy();
  await way.close();
  await testDatabase.drop();
});

const connect = (url: string) =>
  new DataSource({ type: 'postgres', url, poolSize: 8, extra: { connectionTimeoutMillis: 60_000 } }).initialize();

const busOn = (dataSource: DataSource) =>
  new Holdfast({ service: 'shop', transport: databaseTransport(), store: typeorm({ dataSource, lanes: 2 }) }, { logger: silentLogger });

/** A sale, and what it is told by. */
function sell(n: number, also: () => Promise<unknown> = async () => undefined, timeout = 10_000): Promise<void> {
  return till.unitOfWork.run({ ...HALF, timeout }, async () => {
    await tillSource.query('insert into sale values ($1)', [n]);
    await till.bus.publish(new Paid(n));
    await also();
  });
}

const numbers = async (table: 'sale' | 'effect') =>
  ((await booksSource.query(`select n from ${table} order by n`)) as { n: number }[]).map(({ n }) => n);

const settled = () =>
  eventually(
    () => books.outbox.stats(),
    ({ halfMessages }) => halfMessages === 0,
  );

it('a COMMIT whose answer was lost is asked about, and its message arrives', async () => {
  armFailpoint('unit:before-commit', () => way.mute());
  await expect(sell(1, undefined, 5000)).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
  expect(await numbers('sale')).toEqual([1]);
  expect(
    await eventually(
      () => numbers('effect'),
      ({ length }) => length > 0,
    ),
  ).toEqual([1]);
  await settled();
  expect(await numbers('effect')).toEqual([1]);
});

it('a COMMIT that never arrived is asked about, and its message is never seen', async () => {
  armFailpoint('unit:before-commit', () => way.cut());
  await expect(sell(1, undefined, 5000)).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
  await settled();
  await pause(300);
  expect([await numbers('sale'), await numbers('effect')]).toEqual([[], []]);
});

it('a COMMIT that takes long is asked about and waited for', async () => {
  const outcomes: string[] = [];
  const stop = subscribe('unit:checked-back', ({ outcome }) => void outcomes.push(outcome));
  const sold = sell(1, () => tillSource.query('insert into slow values (15000)'), 40_000);
  await eventually(
    () => outcomes,
    ({ length }) => length > 0,
  );
  // Others do not wait for it.
  await sell(2);
  expect(
    await eventually(
      () => numbers('effect'),
      ({ length }) => length > 0,
    ),
  ).toEqual([2]);
  await sold;
  expect(
    await eventually(
      () => numbers('effect'),
      ({ length }) => length > 1,
    ),
  ).toEqual([1, 2]);
  stop();
  expect(new Set(outcomes)).toEqual(new Set(['unknown']));
});

it('a unit whose messages cannot be registered is rolled back, and is not told as registered', async () => {
  const registered = hear('unit:registered');
  await sell(1);
  expect(registered).toEqual([{ unit: expect.stringMatching(/^[0-9a-f-]{36}$/), count: 1 }]);
  await booksSource.query('alter table holdfast_half_message rename to elsewhere');
  await expect(sell(2)).rejects.toMatchObject({ code: '42P01' });
  expect(registered).toHaveLength(1);
  await booksSource.query('alter table elsewhere rename to holdfast_half_message');
  await sell(3);
  expect(
    await eventually(
      () => numbers('effect'),
      ({ length }) => length > 1,
    ),
  ).toEqual([1, 3]);
  expect(await numbers('sale')).toEqual([1, 3]);
});

it('units that use up the pool do not wait for each other', async () => {
  const many = Array.from({ length: 40 }, (_, n) => n);
  await Promise.all(many.map((n) => sell(n, () => pause(20))));
  expect(
    await eventually(
      () => numbers('effect'),
      ({ length }) => length >= many.length,
    ),
  ).toEqual(many);
});

it('over a broker the messages never were in the outbox, and those that it refused are', async () => {
  const memory = inMemory();
  const refusing = {
    ...memory,
    create: (context: TransportContext) => {
      const transport = memory.create(context);
      const publish = transport.publish.bind(transport);
      transport.publish = async (batch) =>
        batch.some(({ id }) => id === 'refused') ? batch.map(() => 'rejected' as const) : publish(batch);
      return transport;
    },
  };
  const seen: number[] = [];
  const source = await connect(testDatabase.url);
  const bus = new Holdfast(
    { service: 'kiosk', transport: refusing, store: typeorm({ dataSource: source, lanes: 2 }) },
    { logger: silentLogger },
  );
  bus.on(Paid, ({ n }) => void seen.push(n), { name: 'kiosk.see', transactional: false });
  await bus.start();
  const pay = (n: number, id: string) => bus.unitOfWork.run(HALF, async () => void (await bus.bus.publish(new Paid(n), { id })));
  for (const n of [1, 2, 3]) await pay(n, `p${n}`);
  await eventually(
    () => seen,
    ({ length }) => length === 3,
  );
  const count = async (what: string) => ((await source.query(`select count(*)::int as n from ${what}`)) as [{ n: number }])[0].n;
  await eventually(
    () => bus.outbox.stats(),
    ({ halfMessages }) => halfMessages === 0,
  );
  expect([await count('holdfast_outbox'), await count(`holdfast_guard where status = 'committed'`)]).toEqual([0, 3]);
  await pay(4, 'refused');
  expect(
    await eventually(
      () => bus.outbox.parked(),
      ({ items }) => items.length > 0,
    ),
  ).toMatchObject({
    items: [{ message: { id: 'refused' }, reason: 'rejected' }],
  });
  await bus.stop();
  await source.destroy();
});

it('a process that sends nothing leaves them in the outbox', async () => {
  const source = await connect(testDatabase.url);
  const bus = new Holdfast(
    { service: 'kiosk', transport: inMemory(), store: typeorm({ dataSource: source, lanes: 2 }), relay: false },
    { logger: silentLogger },
  );
  const seen: number[] = [];
  bus.on(Paid, ({ n }) => void seen.push(n), { name: 'kiosk.see', transactional: false });
  await bus.start();
  await bus.unitOfWork.run(HALF, async () => void (await bus.bus.publish(new Paid(1))));
  await eventually(
    () => source.query('select from holdfast_outbox') as Promise<unknown[]>,
    ({ length }) => length === 1,
  );
  await pause(200);
  expect(seen).toEqual([]);
  await bus.stop();
  await source.destroy();
});
