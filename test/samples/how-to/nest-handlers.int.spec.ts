// The code of docs/how-to/nest-handlers.md, started as an application and as a worker.
import { createTestDatabase, type TestDatabase, PATIENTLY, PATIENCE_MS } from '@holdfast-internal/test-support';
import { HoldfastStrategy } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import type { INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { ParcelSent, Reservation, Shop, WarehouseModule, worker } from './nest-handlers.js';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
  process.env.DATABASE_URL = database.url;
});
afterEach(async () => {
  jest.restoreAllMocks();
  await database.drop();
});

it('reserves what was sold, forgets what was sent, and answers', async () => {
  const module = await HoldfastTesting.inMemory(Test.createTestingModule({ imports: [WarehouseModule] })).compile();
  const app = module.createNestApplication();
  app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.init();
  try {
    const testing = app.get(HoldfastTesting);
    await app.get(Shop).sell('o-1', 'sku-1');
    await app.get(Shop).sell('o-2', 'sku-1');
    await testing.settled(PATIENTLY);
    expect(await app.get(Shop).reserved('sku-1')).toBe(2);
    await testing.deliver(new ParcelSent('o-1'));
    await testing.settled(PATIENTLY);
    expect(await app.get(Shop).reserved('sku-1')).toBe(1);
    expect(await testing.deadLetters()).toEqual([]);
  } finally {
    await app.close();
  }
});

it('runs without HTTP, and stops in good order', async () => {
  const create = NestFactory.createMicroservice.bind(NestFactory) as (module: unknown, options: object) => Promise<INestMicroservice>;
  let made: INestMicroservice | undefined;
  jest.spyOn(NestFactory, 'createMicroservice').mockImplementation(async (module: unknown, options?: object) => {
    made = await create(module, { ...options, logger: false });
    return made as never;
  });
  await worker();
  const rows = made!.get(DataSource).getRepository(Reservation);
  await made!.get(Shop).sell('o-1', 'sku-1');
  for (const end = Date.now() + PATIENCE_MS; (await rows.count()) === 0 && Date.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await rows.find()).toEqual([{ orderId: 'o-1', sku: 'sku-1' }]);
  await made!.close();
});
