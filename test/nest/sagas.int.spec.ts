// A saga of local steps as an application: what it promises its reader is what happens.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { HoldfastModule, Sagas } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { database as databaseTransport } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Account, Checkout, CheckoutModule, Order, PlaceOrderSaga } from './support/local-saga.js';
import { silent } from './support/recording-engine.js';

let database: TestDatabase;
let app: TestingModule;

const modules = (transport = databaseTransport()) =>
  Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url, entities: [Order, Account], synchronize: true }),
      HoldfastModule.forRoot({ service: 'shop', transport, store: typeorm() }),
      CheckoutModule,
    ],
  }).setLogger(silent);

const rows = async (table: string) => app.get(DataSource).query(`select * from "${table}" order by id`);

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  await app.close();
  await database.drop();
});

async function started(builder = modules()): Promise<Checkout> {
  app = await builder.compile();
  await app.init();
  await app.get(DataSource).getRepository(Account).insert({ id: 'ann', balance: 100 });
  return app.get(Checkout);
}

it('an order is shipped, and its saga is one with it', async () => {
  const checkout = await started();
  expect(await checkout.placeAndWait('o-1', 'ann', 60)).toBe('on its way: T-o-1');
  expect(await rows('order')).toMatchObject([{ id: 'o-1', status: 'closed' }]);
  expect(await rows('account')).toMatchObject([{ balance: 40 }]);
});

it('an order that cannot be paid is undone', async () => {
  const checkout = await started();
  expect(await checkout.placeAndWait('o-1', 'ann', 101)).toBe('cancelled at charge: not enough money');
  expect(await rows('order')).toMatchObject([{ id: 'o-1', status: 'cancelled' }]);
  expect(await rows('account')).toMatchObject([{ balance: 100 }]);
});

it('a double click starts one saga', async () => {
  const checkout = await started();
  await Promise.all([checkout.place('o-1', 'ann', 60), checkout.place('o-1', 'ann', 60)]);
  expect((await app.get(Sagas).result('o-1')).status).toBe('completed');
  expect(await rows('account')).toMatchObject([{ balance: 40 }]);
});

it('a step is undone with all it called when it fails, and no step is tried again by its own decorator', async () => {
  const checkout = await started();
  const saga = app.get(PlaceOrderSaga);
  let calls = 0;
  const charge = saga.charge.bind(saga);
  Object.defineProperty(saga, 'ship', {
    value: async (context: Parameters<typeof charge>[0]) => {
      calls += 1;
      await charge(context);
      throw Object.assign(new Error('no van'), { name: 'ForbiddenException' });
    },
  });
  expect(await checkout.placeAndWait('o-1', 'ann', 10)).toBe('cancelled at ship: no van');
  expect(calls).toBe(1);
  expect(await rows('account')).toMatchObject([{ balance: 100 }]);
});

it('a test settles when its sagas have', async () => {
  const checkout = await started(HoldfastTesting.inMemory(modules(inMemory())));
  await checkout.place('o-1', 'ann', 60);
  await app.get(HoldfastTesting).settled(PATIENTLY);
  expect(await rows('order')).toMatchObject([{ status: 'closed' }]);
});
