// The saga part of test/api/usage/15, with the program of usage 07: the real steps on a real database, no broker, no sleeping.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { HoldfastModule, NonRetryableError, Sagas } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import {
  AddressConfirmed,
  ChargeCard,
  CheckFraud,
  Checkout,
  CheckoutModule,
  PlaceOrderSaga,
  RefundCard,
  ShipParcel,
} from '../api/usage/07-saga.js';
import { refundsWhatNobodyAnswered } from './support/silent-bank.js';
import { silent } from './support/recording-engine.js';

let database: TestDatabase;
let app: INestApplication;
let testing: HoldfastTesting;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

beforeEach(async () => {
  const module = Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url, autoLoadEntities: true, synchronize: true, poolSize: 10 }),
      HoldfastModule.forRoot({ service: 'shop', transport: inMemory(), store: typeorm() }),
      CheckoutModule,
    ],
  }).setLogger(silent);
  app = (await HoldfastTesting.inMemory(module).compile()).createNestApplication();
  await app.init();
  testing = app.get(HoldfastTesting);
});

afterEach(() => app.close());

it('ships a paid order', async () => {
  await testing
    .saga(PlaceOrderSaga)
    .given({ orderId: 'o-1', total: 20 })
    .expect(new ChargeCard('o-1', 20))
    .reply({ paymentId: 'p-1' })
    .signal(new AddressConfirmed('o-1', '1 Main Street'), { key: 'o-1' })
    .expect(new ShipParcel('o-1'))
    .reply({ trackingCode: 'T1' })
    .after('3d')
    .ends('completed', { parcel: { trackingCode: 'T1' } });
});

it('refunds a charge that was never answered', () => refundsWhatNobodyAnswered(testing));

it('refunds nothing when the card was declined', async () => {
  await testing
    .saga(PlaceOrderSaga)
    .given({ orderId: 'o-1', total: 20 })
    .expect(new ChargeCard('o-1', 20))
    .refuse('card declined')
    .ends('compensated');
});

it('refunds a large order that looks like fraud', async () => {
  await testing
    .saga(PlaceOrderSaga)
    .given({ orderId: 'o-2', total: 2000 })
    .expect(new ChargeCard('o-2', 2000))
    .reply({ paymentId: 'p-2' })
    .expect(new CheckFraud('o-2'))
    .reply('suspicious')
    .expect(new RefundCard('o-2'))
    .reply()
    .ends('compensated', { fraud: 'suspicious' });
});

it('a script that does not fit says what the saga does instead', async () => {
  const given = () => testing.saga(PlaceOrderSaga).given({ orderId: 'o-1', total: 20 });
  await expect(given().expect(new ShipParcel('o-1')).reply({ trackingCode: 'T1' }).ends('completed')).rejects.toThrow(
    'the command that the saga has sent',
  );
  await expect(given().ends('completed')).rejects.toThrow(
    /the saga is completed was expected, and it is waiting at charge\nit waits for charge: the reply to card.charge\nit has sent card.charge {"orderId":"o-1","amount":20}\nhistory: started, /,
  );
  const refused = given().expect(new ChargeCard('o-1', 20)).refuse('card declined');
  await expect(refused.expect(new ShipParcel('o-1')).reply({ trackingCode: 'T1' }).ends('completed')).rejects.toThrow(
    /asks for .*parcel.ship.* was expected, and it is compensated\nfailure: charge: /,
  );
});

it('other services are stood in for by functions, and what they throw is a refusal', async () => {
  testing.answer(ChargeCard, ({ amount }) => {
    if (amount > 100) throw new NonRetryableError('card declined');
    return { paymentId: 'p-1' };
  });
  testing.answer(ShipParcel, async ({ orderId }) => ({ trackingCode: `T-${orderId}` }));
  const checkout = app.get(Checkout);
  for (const [id, total] of [
    ['a', 20],
    ['b', 200],
  ] as const)
    await checkout.place(id, total);
  await testing.settled(PATIENTLY);
  await testing.deliver(new AddressConfirmed('a', 'Elm Street'), { key: 'a' });
  await testing.settled(PATIENTLY);
  await testing.clock.advance('3d');
  await testing.settled(PATIENTLY);
  const sagas = app.get(Sagas);
  expect(await sagas.result('a')).toMatchObject({
    status: 'completed',
    state: { parcel: { trackingCode: 'T-a' }, confirmed: { address: 'Elm Street' } },
  });
  expect(await sagas.result('b')).toMatchObject({ status: 'compensated', failure: { step: 'charge' } });
  expect(await app.get(DataSource).query('select id, status from "order" order by id')).toEqual([
    { id: 'a', status: 'closed' },
    { id: 'b', status: 'cancelled' },
  ]);
});
