import { borrowTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { armFailpoint, defineSaga, Holdfast, type LogFields, type SagaContext, silentLogger } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { holdfastStepGuards, typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { openStore } from '../../log/support/open-store.js';
import { RawTransaction } from '../../log/support/raw-transaction.js';
import { linesOf, Told } from './support/shop.js';

interface Order {
  id: string;
  paid?: number;
  fails?: 'before' | 'after' | 'never';
}

type Context = SagaContext<Order>;

const RETRY = { attempts: 2, backoff: { delay: 1, jitter: 'none' } } as const;
const SAID = 'a step of a saga runs in another DataSource than the store: at least once, behind a guard row which makes a repeat a no-op';

let shop: TestDatabase;
let bank: TestDatabase;
let open: (() => Promise<unknown>)[];

/** A shop whose second step books in the database of a bank. */
async function opened({ migrate, retry = RETRY }: { readonly migrate?: boolean; readonly retry?: false | typeof RETRY } = {}) {
  const main = await new DataSource({ type: 'postgres', url: shop.url }).initialize();
  const ledger = await new DataSource({ type: 'postgres', url: bank.url, migrations: holdfastStepGuards() }).initialize();
  open.push(
    () => main.destroy(),
    () => ledger.destroy(),
  );
  await ledger.query('create table if not exists booked (n serial primary key, text text not null)');
  await main.query('create table if not exists seen (id text not null)');
  const said: (readonly [string, LogFields | undefined])[] = [];
  const logger = { ...silentLogger, info: (text: string, fields?: LogFields) => void said.push([text, fields]) };
  const bus = new Holdfast(
    { service: 'shop', transport: database(), store: typeorm({ dataSource: { default: main, ledger }, lanes: 4 }), migrate },
    { logger },
  );
  const book = async (text: string) => void (await ledger.query('insert into booked (text) values ($1)', [text]));
  const saga = defineSaga<Order>('order', { version: 1 })
    .step('reserve', async () => {}, { compensate: async () => {} })
    .step(
      'pay',
      async (context: Context) => {
        await book(`${context.id} paid`);
        // Neither of the two commits: as with any other system.
        await main.query('insert into seen values ($1)', [context.id]);
        context.state.paid = 20;
        if (context.state.fails === 'before') throw new Error('not today');
      },
      { dataSource: 'ledger', retry, compensate: ({ id }) => book(`${id} paid back`), compensateRetry: RETRY },
    )
    .step(
      'ship',
      async ({ state }) => {
        if (state.fails === 'after') throw new Error('no van');
      },
      { retry: false },
    );
  open.unshift(() => bus.stop());
  return {
    bus,
    main,
    ledger,
    said,
    saga,
    // Sagas may be added when units of work have begun already.
    start: async () => {
      await bus.open();
      bus.saga(saga);
      await bus.start();
    },
    ends: async (id: string, fails: Order['fails'] = 'never') => bus.sagas.result((await bus.sagas.start(saga, { id, fails }, { id })).id),
    booked: async () => ((await ledger.query('select text from booked order by n')) as { text: string }[]).map(({ text }) => text),
  };
}

/** The commit over there is there, and that of the saga is not. */
function failBetween(): void {
  armFailpoint('saga:after-step-elsewhere', 'throw');
}

beforeEach(async () => {
  [shop, bank] = [await borrowTestDatabase(), await borrowTestDatabase()];
  open = [];
});

afterEach(async () => {
  for (const close of open) await close();
  await Promise.all([shop.drop(), bank.drop()]);
});

describe('a step in another DataSource', () => {
  it('is committed there, is undone there when a later step fails, and is told of at the start', async () => {
    const { start, ends, booked, said } = await opened();
    await start();
    expect(await ends('o1')).toMatchObject({ status: 'completed', state: { paid: 20 } });
    expect(await ends('o2', 'after')).toMatchObject({ status: 'compensated', failure: { step: 'ship' } });
    expect(await booked()).toEqual(['o1 paid', 'o2 paid', 'o2 paid back']);
    expect(said).toContainEqual([SAID, { saga: 'order', step: 'pay', dataSource: 'ledger' }]);
  });

  it('is a no-op with the same result when it is committed there and not here', async () => {
    const { start, ends, booked, bus, main } = await opened();
    await start();
    failBetween();
    expect(await ends('o1')).toMatchObject({ status: 'completed', state: { paid: 20 } });
    expect(await booked()).toEqual(['o1 paid']);
    expect(await main.query('select id from seen')).toEqual([{ id: 'o1' }]);
    expect(linesOf(await bus.sagas.get('o1'))).toEqual(['started', 'reserve done', 'pay failed', 'pay done', 'ship done', 'completed']);
  });

  it('is taken at its first attempt from whoever had the saga before, and is frozen', async () => {
    const { start, ends, booked } = await opened();
    await start();
    const another = await openStore(shop.url, { service: 'shop', migrate: false });
    open.unshift(() => another.close());
    const frozen = await RawTransaction.open(bank.url);
    const step = { sagaId: 'o1', sagaNumber: '1', step: 'pay', operation: 'run' } as const;
    await another.store.stepGuards.enter(frozen, { step, mark: 'done', mayBeHeld: true });
    expect(await ends('o1')).toMatchObject({ status: 'completed' });
    await expect(frozen.commit()).rejects.toThrow();
    expect(await booked()).toEqual(['o1 paid']);
  });

  it('is undone there, once, when its last attempt was committed there and not here', async () => {
    const { start, ends, booked } = await opened({ retry: false });
    await start();
    // And so is what undoes it.
    armFailpoint('saga:after-step-elsewhere', () => {
      failBetween();
      throw new Error('not here');
    });
    expect(await ends('o1')).toMatchObject({ status: 'compensated', failure: { step: 'pay' } });
    expect(await booked()).toEqual(['o1 paid', 'o1 paid back']);
  });

  it('leaves nothing there when it fails, is not undone then, and never runs later', async () => {
    const { start, ends, booked, ledger } = await opened();
    await start();
    expect(await ends('o1', 'before')).toMatchObject({ status: 'compensated', state: { id: 'o1' }, failure: { message: 'not today' } });
    expect(await booked()).toEqual([]);
    expect(await ledger.query(`select operation, mark from holdfast_step_guard order by operation`)).toEqual([
      { operation: 'run', mark: 'barred' },
      { operation: 'undo', mark: 'done' },
    ]);
  });

  it('is tried again when nobody knows whether it was committed there', async () => {
    const { bus, ledger, start } = await opened();
    await ledger.query('create table fuse (n int)');
    await ledger.query(
      `create function blow() returns trigger language plpgsql as 'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1); return null; end'`,
    );
    await ledger.query(
      'create constraint trigger blow after insert on fuse deferrable initially deferred for each row execute function blow()',
    );
    const fragile = defineSaga<Order>('fragile', { version: 1 }).step(
      'pay',
      async ({ attempt }) => {
        if (attempt === 1) await ledger.query('insert into fuse values (1)');
      },
      { dataSource: 'ledger', retry: RETRY },
    );
    bus.saga(fragile);
    await start();
    expect(await bus.sagas.result((await bus.sagas.start(fragile, { id: 'o1' }, { id: 'o1' })).id)).toMatchObject({ status: 'completed' });
  });

  it('that takes too long is rolled back there before it counts as failed', async () => {
    const { bus, booked, ledger, start } = await opened();
    const slow = defineSaga<Order>('slow', { version: 1 }).step(
      'pay',
      async ({ id }) => {
        await ledger.query('insert into booked (text) values ($1)', [id]);
        await new Promise((resolve) => setTimeout(resolve, 400));
      },
      { dataSource: 'ledger', retry: false, timeout: 200 },
    );
    bus.saga(slow);
    await start();
    const outcome = await bus.sagas.result((await bus.sagas.start(slow, { id: 'o1' }, { id: 'o1' })).id);
    expect(outcome).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_STEP_TIMEOUT' } });
    expect(await booked()).toEqual([]);
  });

  it('publishes nothing and asks for nothing: that would be lost where only its own commit is there', async () => {
    const { bus, start, booked, ledger } = await opened();
    const odd = defineSaga<Order>('odd', { version: 1 }).step(
      'pay',
      async ({ id }) => {
        await ledger.query('insert into booked (text) values ($1)', [id]);
        if (id === 'told') await bus.bus.publish(new Told(id));
      },
      { dataSource: 'ledger', retry: false },
    );
    const asking = defineSaga<Order>('asking', { version: 1 }).step('pay', async (saga) => saga.sleep('1h'), {
      dataSource: 'ledger',
      retry: false,
    });
    bus.saga(odd).saga(asking);
    await start();
    const told = await bus.sagas.result((await bus.sagas.start(odd, { id: 'told' }, { id: 'told' })).id);
    expect(told).toMatchObject({ status: 'compensated', failure: { code: 'HF_UOW_DATA_SOURCE' } });
    const asked = await bus.sagas.result((await bus.sagas.start(asking, { id: 'asked' }, { id: 'asked' })).id);
    expect(asked).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_STEP_ELSEWHERE' } });
    expect(await booked()).toEqual([]);
  });
});

it('a start is refused where the guard rows have no table and none is made, until the migrations of that DataSource have', async () => {
  const first = await opened();
  await first.start();
  await first.bus.stop();
  await first.ledger.query('drop table holdfast_step_guard');
  await expect((await opened({ migrate: false })).start()).rejects.toMatchObject({ code: 'HF_SAGA_STEP_TABLE' });
  expect(await first.ledger.runMigrations()).toMatchObject([{ name: 'HoldfastStepGuards_1767225600000' }]);
  const second = await opened({ migrate: false });
  await second.start();
  expect((await second.ends('o1')).status).toBe('completed');
});
