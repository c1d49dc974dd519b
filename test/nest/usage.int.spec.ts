// Published examples (test/api/usage/01, 03, 08, 14 and 17), run as applications: one message of each, from the method that publishes it to the row it leaves.
import { borrowTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { HoldfastModule, MessageBus, OnMessage, Outbox, UnitOfWork } from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { type Abstract as AbstractType, Injectable, type ModuleMetadata, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Cards, ChargeCard, Checkout, PrintInvoice } from '../api/usage/03-commands.js';
import { Cards as Participant, Payment } from '../api/usage/08-participant.js';
import { Shop, Warehouse } from '../api/usage/14-schemas-and-versions.js';
import { AccountCredited, AccountDebited, Accounts, Balance, Price, PriceChanged, TrialEnded } from '../api/usage/17-delivery-options.js';
import { SagaMessages } from '../e2e/sagas/support/saga-messages.js';
import { silent } from './support/recording-engine.js';

let database: TestDatabase;
let app: TestingModule | undefined;

beforeEach(async () => {
  database = await borrowTestDatabase();
});
afterEach(async () => {
  await app?.close();
  app = undefined;
  await database.drop();
});

/** A running application, and what it has of a class. */
async function start(
  imports: NonNullable<ModuleMetadata['imports']>,
  providers: Type[],
): Promise<{ get<T>(type: Type<T> | AbstractType<T>): T }> {
  const module = await Test.createTestingModule({ imports, providers }).setLogger(silent).compile();
  app = module;
  await module.init();
  return { get: (type) => module.get(type, { strict: false }) };
}

/** What the programs leave to the application they are part of. */
const around = (entities: Type[]) => [
  TypeOrmModule.forRoot({ type: 'postgres', url: database.url, entities, synchronize: true, poolSize: 8 }),
  TypeOrmModule.forFeature(entities),
  HoldfastModule.forRoot({ service: 'usage', store: typeorm(), transport: databaseTransport() }),
];

it('01: an order is stored and its event handled', async () => {
  // The program reads the address of its database when it is loaded.
  const before = process.env.DATABASE_URL;
  process.env.DATABASE_URL = database.url;
  const { Order, OrderPlaced, OrdersController, OrdersModule } = await import('../api/usage/01-orders.js');
  if (before === undefined) Reflect.deleteProperty(process.env, 'DATABASE_URL');
  else process.env.DATABASE_URL = before;
  const seen: unknown[] = [];
  @Injectable()
  class Listener {
    @OnMessage(OrderPlaced, { name: 'listener.placed' })
    async placed(event: unknown): Promise<void> {
      seen.push(event);
    }
  }
  const { get } = await start([OrdersModule], [Listener]);
  await get(DataSource).synchronize();
  const order = await get(OrdersController).place({ customerId: 'c-1', total: 20 });
  await eventually(async () => seen.length === 1, Boolean);
  expect(seen).toEqual([new OrderPlaced(order.id, 20)]);
  expect(await get(DataSource).getRepository(Order).find()).toEqual([{ id: order.id, customerId: 'c-1', total: 20 }]);
});

it('03: a card is charged once and its invoice printed, or declined, or refused, and stock is counted', async () => {
  const printed: string[] = [];
  const fetched = jest.spyOn(globalThis, 'fetch').mockImplementation(async (url) => {
    printed.push(String(url));
    return new Response();
  });
  try {
    const { get } = await start(around([]), [Cards, Checkout]);
    const rows = (): Promise<{ order_id: string; amount: number }[]> => get(DataSource).query('select order_id, amount from payment');
    await get(DataSource).query(
      "create table payment (id text default 'p-1', order_id text not null check (order_id <> ''), amount int not null)",
    );
    const checkout = get(Checkout);
    expect(await checkout.pay('o-1')).toBe('p-1');
    await eventually(async () => printed.length === 1, Boolean);
    expect(printed).toEqual(['https://printer.example/o-1']);
    expect(await rows()).toEqual([{ order_id: 'o-1', amount: 990 }]);
    expect(await checkout.hasStock('abc')).toBe(true);
    const bus = get(MessageBus);
    expect(await bus.request(new ChargeCard('o-2', 10_001))).toEqual({ declined: 'limit' });
    expect(await bus.request(new PrintInvoice('o-3'))).toBeUndefined();
    await expect(get(UnitOfWork).run(() => checkout.hasStock('abc'))).rejects.toMatchObject({ code: 'HF_REQUEST_IN_TRANSACTION' });
  } finally {
    fetched.mockRestore();
  }
});

it('14: what is sold is picked, and what an older service sent is brought up to date', async () => {
  const lines = jest.spyOn(console, 'log').mockImplementation(() => {});
  try {
    const { get } = await start(around([]), [Shop, Warehouse]);
    await get(Shop).sell('a');
    await eventually(async () => lines.mock.calls.length === 1, Boolean);
    await older(get(DataSource), { orderId: '0190a1b2-0000-7000-8000-000000000001', skus: ['a', 'b', 'c'], total: 5 });
    await eventually(async () => lines.mock.calls.length === 2, Boolean);
    expect(lines.mock.calls.map(([line]) => String(line))).toEqual([
      expect.stringMatching(/^2 pieces, ordered 20\d\d-/),
      '3 pieces, ordered 1970-01-01T00:00:00.000Z',
    ]);
  } finally {
    lines.mockRestore();
  }
});

it('17: what is published is booked, projected and ended', async () => {
  const { get } = await start(around([Balance, Price]), [Accounts]);
  const { manager } = get(DataSource);
  await manager.insert(Balance, [
    { accountId: 'a', amount: 10 },
    { accountId: 'trial', amount: 0 },
  ]);
  await manager.insert(Price, { sku: 's', cents: 1 });
  const bus = get(MessageBus);
  await bus.publish(new AccountCredited('a', 5), { key: 'a' });
  await bus.publish(new AccountDebited('a', 2), { key: 'a' });
  await bus.publish(new PriceChanged('s', 99));
  await bus.publish(new TrialEnded('trial'), { key: 'trial' });
  const state = async () => ({ balances: await manager.find(Balance), prices: await manager.find(Price) });
  const wanted = { balances: [{ accountId: 'a', amount: 13 }], prices: [{ sku: 's', cents: 99 }] };
  await eventually(async () => JSON.stringify(await state()) === JSON.stringify(wanted), Boolean).catch(() => undefined);
  expect(await state()).toEqual(wanted);

  await get(Accounts).startTrial('later', new Date(Date.now() + 86_400_000));
  const credited = await get(Accounts).credit('a', 7);
  await eventually(() => get(Accounts).isBooked(credited), Boolean);
  expect(await manager.findOneBy(Balance, { accountId: 'a' })).toEqual({ accountId: 'a', amount: 20 });
  expect(await get(Outbox).isConsumed(credited)).toBe(true);
  expect(await get(Accounts).isBooked('a message that never was')).toBe(false);

  const due = await manager.query("select key, due_at > now() + interval '23 hours' as is_later from holdfast_scheduled");
  expect(due).toEqual([
    { key: 'later', is_later: true },
    { key: 'later', is_later: true },
  ]);
});

/** A message of version 1, as a service that was not deployed yet writes it. */
async function older(dataSource: DataSource, data: object): Promise<void> {
  const attributes = {
    specversion: '1.0',
    id: 'v1',
    source: 'older',
    type: 'order.placed',
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    dataschema: 'urn:holdfast:order.placed:1',
  };
  await dataSource.query(
    `insert into holdfast_outbox (lane, id, type, attributes, body) values (0, nextval('holdfast_lane_0'), 'order.placed', $1, $2)`,
    [JSON.stringify(attributes), Buffer.from(JSON.stringify(data))],
  );
}

it('08: what a saga asks for is done and undone, or neither', async () => {
  const { get } = await start(around([Payment]), [Participant]);
  const source = get(DataSource);
  const saga = new SagaMessages((sql, values) => source.query(sql, values));
  await saga.request({ id: 'r', data: { orderId: 'o-1', amount: 5 } });
  expect(JSON.parse((await saga.answered('r')).body)).toEqual({ paymentId: expect.any(String) });
  await saga.undo({ id: 'u', data: { orderId: 'o-1' } });
  await saga.answered('u');
  await saga.undo({ id: 'v', request: 'never', data: { orderId: 'o-2' } });
  await saga.answered('v');
  await saga.request({ id: 'never', data: { orderId: 'o-2', amount: 7 } });
  expect(await saga.answered('never')).toMatchObject({ type: 'holdfast.refusal' });
  expect(await source.getRepository(Payment).find()).toMatchObject([{ orderId: 'o-1', amount: 5, refunded: true }]);
});
