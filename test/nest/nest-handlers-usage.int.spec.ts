// The published example test/api/usage/05, started by its own main() and run.
import { borrowTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';

let database: TestDatabase;
let app: INestApplication | undefined;

beforeEach(async () => {
  database = await borrowTestDatabase();
});
afterEach(async () => {
  await app?.close();
  await database.drop();
  jest.restoreAllMocks();
});

/** What `main()` makes, when it listens; on another port, which may be somebody else's here. */
function whatMainMakes(): Promise<INestApplication> {
  return new Promise((resolve) => {
    const create = NestFactory.create.bind(NestFactory) as (module: unknown, options: object) => Promise<INestApplication>;
    jest.spyOn(NestFactory, 'create').mockImplementation(async (module: unknown) => {
      const made = await create(module, { logger: false, abortOnError: false });
      const listen = async (): Promise<unknown> => {
        const server: unknown = await made.listen(0);
        resolve(made);
        return server;
      };
      return new Proxy(made, { get: (target, name) => (name === 'listen' ? listen : Reflect.get(target, name)) }) as never;
    });
  });
}

it('05: what a transaction emits is reserved by a handler of Nest, and another answers, in the application that main() makes', async () => {
  const before = process.env.DATABASE_URL;
  process.env.DATABASE_URL = database.url;
  const made = whatMainMakes();
  const { Shop } = await import('../api/usage/05-nest-handlers.js');
  app = await made;
  if (before === undefined) Reflect.deleteProperty(process.env, 'DATABASE_URL');
  else process.env.DATABASE_URL = before;
  const { manager } = app.get(DataSource);
  await manager.query('create table reservation (order_id text primary key, source text not null, attempt int not null)');
  await app.get(Shop, { strict: false }).sell({ orderId: 'o-1', total: 20 });
  const reserved = () => manager.query('select * from reservation');
  await eventually(async () => (await reserved()).length === 1, Boolean);
  expect(await reserved()).toEqual([{ order_id: 'o-1', source: 'orders', attempt: 1 }]);
  await expect(app.get(Shop, { strict: false }).stock('sku-1')).resolves.toBe(5);
});
