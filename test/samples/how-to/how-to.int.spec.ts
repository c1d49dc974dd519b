// The code of the how-to pages, started as one application.
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { DeadLetters, Holdfast, MessageBus, Outbox, subscribe, Subscriptions } from '@holdfast/nest';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { AccountCredited, AccountDebited, Balance } from './accounts.js';
import { AppModule } from './app.module.js';
import { ChargeCard, Checkout, Payment } from './cards.js';
import { Couriers } from './couriers.js';
import { HealthController, Readiness } from './deploy.js';
import { InvoiceApi } from './invoices.js';
import { Payouts } from './payouts.js';
import { Price, PriceChanged } from './prices.js';
import { Refund, RefundRequested, ServiceDesk } from './refunds.js';
import { Audit, AuditEntry, Stock, StockItem } from './stock.js';
import { OrderShipped, start } from './without-nest.js';

// One application with ten subscriptions takes a while to start where the machine is busy.

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

describe('the code of the how-to pages', () => {
  it('keeps the order of an account', async () => {
    await source.getRepository(Balance).insert({ accountId: 'a-1', amount: 0 });
    const bus = app.get(MessageBus);
    await bus.publish(new AccountCredited('a-1', 100), { key: 'a-1' });
    await bus.publish(new AccountDebited('a-1', 30), { key: 'a-1' });
    await eventually(async () => (await source.getRepository(Balance).findOneByOrFail({ accountId: 'a-1' })).amount === 70, Boolean);
  });

  it('projects prices in batches', async () => {
    const bus = app.get(MessageBus);
    for (let n = 0; n < 20; n += 1) await bus.publish(new PriceChanged(`s-${n}`, n));
    await eventually(async () => (await source.getRepository(Price).count()) === 20, Boolean);
  });

  it('moves stock in a unit of its own and in one of the caller', async () => {
    await source.getRepository(StockItem).insert({ sku: 's-1', amount: 5 });
    expect(await app.get(Stock).move('s-1', 3)).toBe(8);
    await app.get(Stock).remove('s-1');
    expect(await source.getRepository(StockItem).count()).toBe(0);
    await app.get(Audit).record('all gone');
    expect(await source.getRepository(AuditEntry).count()).toBe(1);
    await eventually(async () => app.get(Couriers).booked.length === 2, Boolean);
    expect(app.get(Couriers).booked).toEqual(['s-1', 's-1']);
  });

  it('pays once on a double click', async () => {
    const payouts = app.get(Payouts);
    const results = await Promise.all([payouts.pay('r-1', 10), payouts.pay('r-1', 99)]);
    expect(results[1]).toEqual(results[0]);
  });

  it('refunds an order once, and takes a request that is sent again for the same message', async () => {
    const dropped: string[] = [];
    const unsubscribe = subscribe('delivery:duplicate', ({ subscription, id }) => dropped.push(`${subscription} ${id}`));
    const desk = app.get(ServiceDesk);
    for (const id of ['q-1', 'q-1', 'q-2']) await desk.request(id, new RefundRequested('o-7', 10));
    await desk.request('q-3', new RefundRequested('o-8', 10));
    const refunds = source.getRepository(Refund);
    await eventually(async () => dropped.length === 3 && (await refunds.count()) === 5, Boolean);
    unsubscribe();
    // Which of the two requests is paid is a matter of who comes first: they have no ordering key.
    expect(dropped.map((line) => line.split(' ')[0]).sort()).toEqual(['refunds.count', 'refunds.pay', 'refunds.pay']);
    expect(await refunds.countBy({ orderId: 'o-7', amount: 10 })).toBe(1);
    expect(await refunds.countBy({ orderId: 'o-7', amount: 0 })).toBe(2);
  });

  it('asks for a payment, is declined, rejected, and answered again', async () => {
    const checkout = app.get(Checkout);
    const page = jest.spyOn(console, 'error').mockReturnValue();
    expect(await checkout.pay('o-1', 20)).toMatch(/^paid: \d+$/);
    expect(await checkout.pay('o-1', 20_000)).toBe('declined: limit');
    await expect(checkout.pay('', 20)).rejects.toMatchObject({ status: 404, message: 'there is no such order' });
    // Whoever asked knows. Whoever only sent it does not.
    expect(page).not.toHaveBeenCalled();
    await app.get(MessageBus).send(new ChargeCard('', 20));
    await eventually(async () => page.mock.calls.length > 0, Boolean);
    expect(page).toHaveBeenCalledWith(expect.stringMatching(/^card\.charge: .* is a dead letter/));
    const ids = [await checkout.payForSure('o-2', 5), await checkout.payForSure('o-2', 5)];
    expect(ids[1]).toBe(ids[0]);
    expect(await source.getRepository(Payment).countBy({ orderId: 'o-2' })).toBe(1);
  });

  it('handles a message without Nest', async () => {
    jest.spyOn(console, 'info').mockReturnValue();
    const own = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    await own.query('create table mail (order_id text)');
    const holdfast = await start(own);
    await holdfast.bus.publish(new OrderShipped('o-1'));
    await eventually(async () => (await own.query('select from mail')).length === 1, Boolean);
    await holdfast.stop();
    await own.destroy();
  });

  it('lists every subscription', async () => {
    const names = (await app.get(Subscriptions).list()).map(({ name }) => name);
    expect(names).toEqual([
      'accounts.book',
      'card.charge',
      'catalogue.prices',
      'couriers.book',
      'invoices.create',
      'prices.project',
      'refunds.count',
      'refunds.pay',
      'reminders.announce',
      'warehouse.pick',
    ]);
    // What was refused and asked for by nobody stays for a person to see.
    expect((await app.get(DeadLetters).groups()).map(({ sample }) => sample.subscription)).toEqual(['card.charge']);
    expect((await app.get(Outbox).stats()).scheduled).toBe(0);
    expect(app.get(InvoiceApi)).toBeDefined();
  });

  // The last one: it stops the deliveries.
  it('is ready until it begins to stop, and answers that it is not while it does', async () => {
    const readiness = app.get(Readiness);
    expect(readiness.ready()).toBe('ready');
    expect(await app.get(HealthController).health()).toMatchObject({ status: 'up', transport: { name: 'database' } });
    const stopping = app.get(Holdfast).drain();
    expect(() => readiness.ready()).toThrow('stopping');
    await expect(app.get(HealthController).health()).rejects.toMatchObject({ response: { status: 'down', problems: ['it is stopping'] } });
    await stopping;
  });
});
