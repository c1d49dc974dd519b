// Requests while the way to the broker, or to the database, is cut.
import {
  type BlackHole,
  createTestDatabase,
  describeWithRabbit,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
} from '@holdfast-internal/test-support';
import { Command, Holdfast, Message, silentLogger, type TransportFactory } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

@Message('shop.square')
class Square extends Command<{ square: number }> {
  constructor(readonly n: number) {
    super();
  }
}

const NUMBERS = Array.from({ length: 150 }, (_, n) => n);

let testDatabase: TestDatabase;
let dataSource: DataSource;
const opened: { stop(): Promise<unknown> }[] = [];

beforeEach(async () => {
  testDatabase = await createTestDatabase();
  dataSource = await connect();
  await dataSource.query('create table effect (n int not null)');
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.stop();
  await dataSource.destroy();
  await testDatabase.drop();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function connect(url = testDatabase.url): Promise<DataSource> {
  return new DataSource({ type: 'postgres', url, poolSize: 12, extra: { connectionTimeoutMillis: 5000 } }).initialize();
}

interface Tables {
  readonly source?: DataSource;
  readonly schema?: string;
}

/** A bus with tables of its own, unless both are to share them. */
async function open(service: string, transport: TransportFactory, { source = dataSource, schema }: Tables = {}): Promise<Holdfast> {
  const bus = new Holdfast({ service, transport, store: typeorm({ dataSource: source, lanes: 4, schema }) }, { logger: silentLogger });
  if (service === 'owner')
    bus.on(
      Square,
      async ({ n }) => {
        await source.query('insert into effect values ($1)', [n]);
        await pause(2);
        return { square: n * n };
      },
      { name: 'shop.square', idempotent: true, transactional: true, retry: 20 },
    );
  await bus.start();
  opened.push({ stop: () => bus.stop({ timeout: '5s' }) });
  return bus;
}

/** All numbers, a few at a time; as a caller does, each is asked again with the same id until it is answered. */
async function askAll(asker: Holdfast): Promise<number[]> {
  const answers: number[] = [];
  const left = [...NUMBERS];
  const ask = async (): Promise<void> => {
    for (let n = left.shift(); n !== undefined; n = left.shift()) {
      for (let answer: { square: number } | undefined; answer === undefined; ) {
        answer = await asker.bus.request(new Square(n), { id: `square ${n}`, timeout: '20s' }).catch(() => undefined);
        if (answer !== undefined) answers[n] = answer.square;
      }
    }
  };
  await Promise.all(Array.from({ length: 10 }, ask));
  return answers;
}

async function expectEachDoneOnce(asked: Promise<number[]>): Promise<void> {
  expect(await asked).toEqual(NUMBERS.map((n) => n * n));
  const rows = (await dataSource.query('select n from effect order by n')) as { n: number }[];
  expect(rows.map(({ n }) => n)).toEqual(NUMBERS);
}

/** Cuts again and again, with a time in which nothing gets through. */
async function cut(way: BlackHole): Promise<void> {
  for (let cuts = 0; cuts < 6; cuts += 1) {
    await pause(200);
    if (cuts === 3) {
      way.refuse(true);
      await pause(500);
      way.refuse(false);
    } else way.cut();
  }
}

/** Waits until so many were handled, and no more. */
async function handled(count: number): Promise<void> {
  for (let found = -1; found < count; found = Number((await dataSource.query('select count(*) as n from effect'))[0].n)) await pause(20);
  expect(await dataSource.query('select n from effect')).toHaveLength(count);
}

describeWithRabbit('over RabbitMQ', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop());

  const by = (way: BlackHole, exchange: string) => rabbitmq({ url: way.url, exchange, heartbeat: '1s' });

  it.each(['asker', 'owner'] as const)(
    'every request is answered, and done once, while the connections of the %s are cut',
    async (side) => {
      const exchange = area.name();
      const way = await openBlackHole(area.url);
      const steady = await openBlackHole(area.url);
      await open('owner', by(side === 'owner' ? way : steady, exchange));
      const asker = await open('asker', by(side === 'asker' ? way : steady, exchange), { schema: 'asker' });
      const asked = askAll(asker);
      await cut(way);
      await expectEachDoneOnce(asked);
      opened.push({ stop: async () => Promise.all([way.close(), steady.close()]) });
    },
  );

  it('a requester that is gone without a word is answered when it asks again with the same id', async () => {
    const exchange = area.name();
    const [gone, steady] = [await openBlackHole(area.url), await openBlackHole(area.url)];
    opened.push({ stop: async () => Promise.all([gone.close(), steady.close()]) });
    const asker = await open('asker', by(gone, exchange), { schema: 'asker' });
    await open('owner', by(steady, exchange));
    const first = asker.bus.request(new Square(7), { id: 'seven', timeout: '60s' }).catch(() => undefined);
    await handled(1);
    gone.refuse(true);
    // Tables of its own, because the first one lives and holds its lanes.
    const again = await open('asker', by(steady, exchange), { schema: 'again' });
    expect(await again.bus.request(new Square(7), { id: 'seven', timeout: '30s' })).toEqual({ square: 49 });
    await handled(1);
    gone.refuse(false);
    // The reply to the first life has waited for it.
    expect(await first).toEqual({ square: 49 });
  });

  it('a command that nobody handles runs into its time-out, and others do not wait behind it', async () => {
    const exchange = area.name();
    const way = await openBlackHole(area.url);
    const asker = await open('asker', by(way, exchange), { schema: 'asker' });
    const late = asker.bus.request(new Square(0), { timeout: '500ms' });
    await expect(late).rejects.toMatchObject({ code: 'HF_REQUEST_TIMEOUT' });
    await open('owner', by(way, exchange));
    expect(await asker.bus.request(new Square(3), { timeout: '30s' })).toEqual({ square: 9 });
    opened.push({ stop: () => way.close() });
  });
});

describe('over the database', () => {
  it.each(['asker', 'owner'] as const)(
    'every request is answered, and done once, while the connections of the %s are cut',
    async (side) => {
      const way = await openBlackHole(testDatabase.url);
      const sources = await Promise.all([connect(side === 'owner' ? way.url : undefined), connect(side === 'asker' ? way.url : undefined)]);
      await open('owner', database(), { source: sources[0] });
      const asker = await open('asker', database(), { source: sources[1] });
      const asked = askAll(asker);
      await cut(way);
      await expectEachDoneOnce(asked);
      opened.push({ stop: async () => Promise.all(sources.map((source) => source.destroy())) }, { stop: () => way.close() });
    },
  );
});
