import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { HoldfastTesting } from '@holdfast/nest/testing';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { Letter } from '../../samples/00-first-steps/src/mail.js';
import { OrderPlaced } from '../../samples/00-first-steps/src/order-placed.js';
import { Shop } from '../../samples/00-first-steps/src/shop.js';
import { ShopModule } from '../../samples/00-first-steps/src/shop.module.js';

let database: TestDatabase;
let app: INestApplication;
let testing: HoldfastTesting;

jest.spyOn(console, 'log').mockReturnValue();

beforeEach(async () => {
  database = await createTestDatabase();
  process.env.DATABASE_URL = database.url;
  const module = Test.createTestingModule({ imports: [ShopModule] });
  app = (await HoldfastTesting.inMemory(module).compile()).createNestApplication();
  await app.init();
  testing = app.get(HoldfastTesting);
});

afterEach(async () => {
  await app.close();
  await database.drop();
});

describe('the shop', () => {
  it('tells of an order that was placed', async () => {
    const { id } = await app.get(Shop).place('Ada', 2);
    expect(testing.published(OrderPlaced)).toEqual([{ message: new OrderPlaced(id, 'Ada'), options: { key: String(id) } }]);
  });

  it('tells nothing of an order that was refused', async () => {
    await expect(app.get(Shop).place('Nobody', 0)).rejects.toThrow('an order of nothing');
    expect(testing.published(OrderPlaced)).toEqual([]);
  });

  it('writes one letter when the message comes twice', async () => {
    await testing.deliver(new OrderPlaced(1, 'Ada'), { id: 'm-1' });
    await testing.deliver(new OrderPlaced(1, 'Ada'), { id: 'm-1' });
    await testing.settled(PATIENTLY);
    expect(await app.get(DataSource).getRepository(Letter).count()).toBe(1);
  });

  it('goes on after the printer got paper', async () => {
    await testing.deliver(new OrderPlaced(2, 'Grace'));
    await testing.clock.advance('10s'); // two retries, without waiting for them
    await testing.settled(PATIENTLY);
    expect(await app.get(DataSource).getRepository(Letter).count()).toBe(1);
    expect(await testing.deadLetters('mail.confirm')).toEqual([]);
  });
});
