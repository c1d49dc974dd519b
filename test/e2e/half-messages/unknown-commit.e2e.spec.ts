// Half messages of units whose COMMIT nobody heard of, and of such as stay open for long.
import {
  type BlackHole,
  createTestDatabase,
  eventuallyWithin,
  openBlackHole,
  pause,
  type TestDatabase,
} from '@holdfast-internal/test-support';
import { armFailpoint, Holdfast, Message, silentLogger, subscribe } from '@holdfast/core';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('till.paid')
class Paid {
  constructor(readonly n: number) {}
}

jest.setTimeout(60_000);

const eventually = eventuallyWithin(20_000);
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
  new DataSource({ type: 'postgres', url, poolSize: 8, extra: { connectionTimeoutMillis: 3000 } }).initialize();

const busOn = (dataSource: DataSource) =>
  new Holdfast({ service: 'shop', transport: databaseTransport(), store: typeorm({ dataSource, lanes: 2 }) }, { logger: silentLogger });

/** A sale, and what it is told by. */
function sell(n: number, also: () => Promise<unknown> = async () => undefined, timeout = 1500): Promise<void> {
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
  await expect(sell(1)).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
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
  await expect(sell(1)).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
  await settled();
  await pause(300);
  expect([await numbers('sale'), await numbers('effect')]).toEqual([[], []]);
});

it('a COMMIT that takes long is asked about and waited for', async () => {
  const outcomes: string[] = [];
  const stop = subscribe('half-message:checked', ({ outcome }) => void outcomes.push(outcome));
  const sold = sell(1, () => tillSource.query('insert into slow values (7000)'), 20_000);
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

it('a unit whose messages cannot be registered is rolled back', async () => {
  await sell(1);
  await booksSource.query('alter table holdfast_half_message rename to elsewhere');
  await expect(sell(2)).rejects.toMatchObject({ code: '42P01' });
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
  await Promise.all(many.map((n) => sell(n, () => pause(20), 10_000)));
  expect(
    await eventually(
      () => numbers('effect'),
      ({ length }) => length >= many.length,
    ),
  ).toEqual(many);
});
