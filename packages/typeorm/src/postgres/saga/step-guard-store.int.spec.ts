import { type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import type { GuardedStep } from '@holdfast/core';
import { type OpenStore, openStore } from '../../../../../test/log/support/open-store.js';
import { RawTransaction } from '../../../../../test/log/support/raw-transaction.js';

const STEP: GuardedStep = { sagaId: 's-1', sagaNumber: '7', step: 'pay', operation: 'run' };

let database: TestDatabase;
let one: OpenStore;

beforeAll(async () => {
  database = await createStoreDatabase(4);
  one = await openStore(database.url, { lanes: 4 });
  await one.store.stepGuards.create(one.store.transactions.dataSources);
});

afterAll(async () => {
  await one.close();
  await database.drop();
});

it('a guard row makes the transaction of its step durable', async () => {
  const tx = await RawTransaction.open(database.url);
  await tx.run({ text: 'set local synchronous_commit = off' });
  await one.store.stepGuards.enter(tx, { step: STEP, mark: 'done', mayBeHeld: true });
  expect((await tx.run({ text: 'show synchronous_commit' })).rows).toEqual([{ synchronous_commit: 'on' }]);
  await tx.commit();
});

it('a guard row that is deleted while it is read is no row that was written', async () => {
  // As if the row had been there, and were gone.
  await one.query(`create function vanish() returns trigger language plpgsql as 'begin return null; end'`);
  await one.query('create trigger vanish before insert on holdfast_step_guard for each row execute function vanish()');
  const tx = await RawTransaction.open(database.url);
  const entered = one.store.stepGuards.enter(tx, { step: { ...STEP, step: 'ship' }, mark: 'done', mayBeHeld: true });
  await expect(entered).rejects.toMatchObject({ code: 'HF_SAGA_STEP_TRIMMED', retryable: true });
  await tx.rollback();
});
