// The billing part of test/api/usage/15: the real handlers on a real database, no broker, no sleeping.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { HoldfastModule, NonRetryableError } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Billing, CardGateway, OrderPlaced, Payment, PaymentTaken } from '../api/usage/02-billing.js';

let database: TestDatabase;
let app: INestApplication;
let testing: HoldfastTesting;
const gateway = { charge: jest.fn<Promise<string>, [number, string, AbortSignal]>() };

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

beforeEach(async () => {
  gateway.charge.mockReset().mockResolvedValue('p-1');
  const module = Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url, autoLoadEntities: true, synchronize: true }),
      HoldfastModule.forRoot({ service: 'shop', transport: inMemory(), store: typeorm() }),
      TypeOrmModule.forFeature([Payment]),
    ],
    providers: [Billing, CardGateway],
  })
    .overrideProvider(CardGateway)
    .useValue(gateway);
  app = (await HoldfastTesting.inMemory(module).compile()).createNestApplication();
  await app.init();
  testing = app.get(HoldfastTesting);
});

afterEach(async () => {
  await app.get(DataSource).query('TRUNCATE payment');
  await app.close();
});

describe('billing', () => {
  it('charges once when the event arrives twice', async () => {
    await testing.deliver(new OrderPlaced('o-1', 20), { id: 'm-1' });
    await testing.deliver(new OrderPlaced('o-1', 20), { id: 'm-1' });
    await testing.settled(PATIENTLY);
    expect(gateway.charge).toHaveBeenCalledTimes(1);
    expect(testing.published(PaymentTaken)).toEqual([{ message: new PaymentTaken('o-1', 'p-1'), options: { key: 'o-1' } }]);
  });

  it('tries five times, then keeps the message as a dead letter', async () => {
    gateway.charge.mockRejectedValue(new Error('gateway is down'));
    await testing.deliver(new OrderPlaced('o-2', 20));
    await testing.clock.advance('10m');
    await testing.settled(PATIENTLY);
    const [letter] = await testing.deadLetters('billing.charge');
    expect(letter?.attempts).toBe(5);
    expect(testing.published(PaymentTaken)).toEqual([]);
  });

  it('does not try a declined card again', async () => {
    gateway.charge.mockRejectedValue(new NonRetryableError('card declined'));
    await testing.deliver(new OrderPlaced('o-3', 20));
    await testing.settled(PATIENTLY);
    expect(gateway.charge).toHaveBeenCalledTimes(1);
  });

  it('passes the idempotency key to the gateway', async () => {
    const delivery = HoldfastTesting.delivery({ attempt: 2, idempotencyKey: 'k-1' });
    await app.get(Billing).charge(new OrderPlaced('o-4', 20), delivery);
    expect(gateway.charge).toHaveBeenCalledWith(20, 'k-1', delivery.signal);
  });
});
