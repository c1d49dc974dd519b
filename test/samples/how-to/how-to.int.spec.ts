// The code of the how-to pages, started as one application.
import { createTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { DeadLetters, Holdfast, MessageBus, Outbox, Subscriptions } from '@holdfast/nest';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { AccountCredited, AccountDebited, Balance } from './accounts.js';
import { AppModule } from './app.module.js';
import { Readiness } from './deploy.js';
import { InvoiceApi } from './invoices.js';
import { Payouts } from './payouts.js';
import { Price, PriceChanged } from './prices.js';
import { Audit, AuditEntry, Stock, StockItem } from './stock.js';
import { OrderShipped, start } from './without-nest.js';

// One application with six subscriptions takes a while to start where the machine is busy.
jest.setTimeout(120_000);

let database: TestDatabase;
let app: INestApplication;
let source: DataSource;

beforeAll(async () => {
  database = await createTestDatabase();
  process.env.DATABASE_URL = database.url;
  app = await NestFactory.create(AppModule, { logger: ['fatal', 'error'] });
  await app.init();
  source = app.get(DataSource);
});
afterAll(async () => {
  await app?.close();
  await database.drop();
});

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('the code of the how-to pages', () => {
  it('keeps the order of an account', async () => {
    await source.getRepository(Balance).insert({ accountId: 'a-1', amount: 0 });
    const bus = app.get(MessageBus);
    await bus.publish(new AccountCredited('a-1', 100), { key: 'a-1' });
    await bus.publish(new AccountDebited('a-1', 30), { key: 'a-1' });
    await until(async () => (await source.getRepository(Balance).findOneByOrFail({ accountId: 'a-1' })).amount === 70);
  });

  it('projects prices in batches', async () => {
    const bus = app.get(MessageBus);
    for (let n = 0; n < 20; n += 1) await bus.publish(new PriceChanged(`s-${n}`, n));
    await until(async () => (await source.getRepository(Price).count()) === 20);
  });

  it('moves stock in a unit of its own and in one of the caller', async () => {
    await source.getRepository(StockItem).insert({ sku: 's-1', amount: 5 });
    expect(await app.get(Stock).move('s-1', 3)).toBe(8);
    await app.get(Stock).remove('s-1');
    expect(await source.getRepository(StockItem).count()).toBe(0);
    await app.get(Audit).record('all gone');
    expect(await source.getRepository(AuditEntry).count()).toBe(1);
  });

  it('pays once on a double click', async () => {
    const payouts = app.get(Payouts);
    const results = await Promise.all([payouts.pay('r-1', 10), payouts.pay('r-1', 99)]);
    expect(results[1]).toEqual(results[0]);
  });

  it('handles a message without Nest', async () => {
    jest.spyOn(console, 'info').mockReturnValue();
    const own = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    await own.query('create table mail (order_id text)');
    const holdfast = await start(own);
    await holdfast.bus.publish(new OrderShipped('o-1'));
    await until(async () => (await own.query('select from mail')).length === 1);
    await holdfast.stop();
    await own.destroy();
  });

  it('lists every subscription', async () => {
    const names = (await app.get(Subscriptions).list()).map(({ name }) => name);
    expect(names).toEqual([
      'accounts.book',
      'catalogue.prices',
      'invoices.create',
      'prices.project',
      'reminders.announce',
      'warehouse.pick',
    ]);
    expect(await app.get(DeadLetters).groups()).toEqual([]);
    expect((await app.get(Outbox).stats()).scheduled).toBe(0);
    expect(app.get(InvoiceApi)).toBeDefined();
  });

  // The last one: it stops the deliveries.
  it('is ready until it begins to stop, and answers that it is not while it does', async () => {
    const readiness = app.get(Readiness);
    expect(readiness.ready()).toBe('ready');
    const stopping = app.get(Holdfast).drain();
    expect(() => readiness.ready()).toThrow('stopping');
    await stopping;
  });
});
