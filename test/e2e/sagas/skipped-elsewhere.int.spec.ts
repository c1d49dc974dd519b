import { borrowTestDatabase, type TestDatabase, until } from '@holdfast-internal/test-support';
import { armFailpoint, defineSaga, type GuardedStep, Holdfast, SagaOperator, silentLogger } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { type OpenStore, openStore } from '../../log/support/open-store.js';
import { RawTransaction } from '../../log/support/raw-transaction.js';

const BY = { by: 'ann', reason: 'booked by hand' };

let shop: TestDatabase;
let bank: TestDatabase;
let ledger: DataSource;
let bus: Holdfast;
/** Whoever had the saga before. */
let another: OpenStore;
let isClosed: boolean;
let open: (() => Promise<unknown>)[];

const book = async (text: string) => {
  if (isClosed) throw new Error('the ledger is closed');
  await ledger.query('insert into booked (text) values ($1)', [text]);
};
/** There is no way back, and its last step books in the database of a bank. */
const forward = defineSaga('forward', { version: 1 })
  .step('decide', async () => {}, { pivot: true })
  .step('pay', ({ id }) => book(`${id} paid`), { dataSource: 'ledger', retry: false });
/** It always turns back. */
const back = defineSaga<{ isUnsure?: boolean }>('back', { version: 1 })
  .step(
    'pay',
    async ({ id, state }) => {
      if (state.isUnsure) throw new Error('not today');
      await ledger.query('insert into booked (text) values ($1)', [`${id} paid`]);
    },
    { dataSource: 'ledger', retry: false, compensate: ({ id }) => book(`${id} paid back`), compensateRetry: false },
  )
  .step('ship', () => Promise.reject(new Error('no van')), { retry: false });

beforeEach(async () => {
  [shop, bank] = [await borrowTestDatabase(), await borrowTestDatabase()];
  isClosed = true;
  const main = await new DataSource({ type: 'postgres', url: shop.url }).initialize();
  ledger = await new DataSource({ type: 'postgres', url: bank.url }).initialize();
  await ledger.query('create table booked (n serial primary key, text text not null)');
  const store = typeorm({ dataSource: { default: main, ledger }, lanes: 4 });
  bus = new Holdfast({ service: 'shop', transport: database(), store }, { logger: silentLogger }).saga(forward).saga(back);
  await bus.start();
  another = await openStore(shop.url, { service: 'shop', migrate: false });
  open = [() => another.close(), () => bus.stop(), () => ledger.destroy(), () => main.destroy(), () => shop.drop(), () => bank.drop()];
});

afterEach(async () => {
  for (const close of open) await close();
});

async function parked(saga: typeof forward | typeof back, state = {}): Promise<void> {
  await bus.sagas.start(saga, state, { id: 'o1' });
  await until('a person is asked', async () => (await bus.sagas.get('o1'))?.status === 'parked');
}

const booked = async () => ((await ledger.query('select text from booked order by n')) as { text: string }[]).map(({ text }) => text);
const of = (operation: 'run' | 'undo'): GuardedStep => ({ sagaId: 'o1', sagaNumber: '1', step: 'pay', operation });
const entering = (tx: RawTransaction, operation: 'run' | 'undo') =>
  another.store.stepGuards.enter(tx, { step: of(operation), mark: 'done', mayBeHeld: true });

/** Once it goes on. */
async function outcome() {
  await until('it goes on', async () => (await bus.sagas.get('o1'))?.status !== 'parked');
  return bus.sagas.result('o1');
}

/** What somebody finds who begins it now. */
async function late(operation: 'run' | 'undo') {
  const tx = await RawTransaction.open(bank.url);
  const found = await entering(tx, operation);
  await tx.rollback();
  return found?.mark;
}

const WAYS = [
  ['in a process that has the saga', () => bus.sagas.skip('o1', BY)],
  ['from a terminal', () => new SagaOperator(another.store.sagas.operations).ask('skip', 'o1', BY)],
] as const;

describe.each(WAYS)('a step in another DataSource that is skipped %s', (_, skip) => {
  it('never happens there: not by a process that is frozen in it, nor by one that comes late', async () => {
    await parked(forward);
    const frozen = await RawTransaction.open(bank.url);
    await entering(frozen, 'run');
    await skip();
    expect(await outcome()).toMatchObject({ status: 'completed' });
    await expect(frozen.commit()).rejects.toThrow();
    expect([await late('run'), await booked()]).toEqual(['barred', []]);
  });

  it('on the way back is never undone there, nor does it happen late', async () => {
    await ledger.query(`create function refuse() returns trigger language plpgsql as 'begin raise exception ''not today''; end'`);
    await ledger.query(
      `create trigger refuse before insert on holdfast_step_guard for each row when (new.operation = 'undo') execute function refuse()`,
    );
    await parked(back, { isUnsure: true });
    await ledger.query('drop trigger refuse on holdfast_step_guard');
    const frozen = await RawTransaction.open(bank.url);
    await entering(frozen, 'undo');
    await skip();
    expect(await outcome()).toMatchObject({ status: 'compensated' });
    await expect(frozen.commit()).rejects.toThrow();
    expect([await late('undo'), await late('run'), await booked()]).toEqual(['barred', 'barred', []]);
  });

  it('on the way back is what it was when it has happened', async () => {
    await parked(back);
    await skip();
    expect(await outcome()).toMatchObject({ status: 'compensated' });
    expect([await late('undo'), await late('run'), await booked()]).toEqual(['barred', 'done', ['o1 paid']]);
  });
});

describe('a step that was committed in another DataSource, and not here', () => {
  beforeEach(async () => {
    isClosed = false;
    armFailpoint('saga:after-step-elsewhere', 'throw');
    await parked(forward);
  });

  afterEach(async () => {
    await bus.sagas.resume('o1', BY);
    expect(await bus.sagas.result('o1')).toMatchObject({ status: 'completed' });
    expect(await booked()).toEqual(['o1 paid']);
  });

  it('cannot be skipped, and the saga goes on from there', async () => {
    await expect(bus.sagas.skip('o1', BY)).rejects.toMatchObject({ code: 'HF_SAGA_STEP_COMMITTED' });
    expect(await bus.sagas.get('o1')).toMatchObject({ status: 'parked', step: 'pay' });
  });

  it('cannot be skipped from a terminal either: the saga parks with the reason', async () => {
    await new SagaOperator(another.store.sagas.operations).ask('skip', 'o1', BY);
    await until('the reason', async () => (await bus.sagas.get('o1'))?.failure?.code === 'HF_SAGA_STEP_COMMITTED');
    expect(await bus.sagas.get('o1')).toMatchObject({ status: 'parked', step: 'pay' });
  });
});
