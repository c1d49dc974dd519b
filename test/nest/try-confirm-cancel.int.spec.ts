// The program of usage 10 as an application: what it promises its reader is what happens.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createTestDatabase, type TestDatabase, until } from '@holdfast-internal/test-support';
import { Branches, HoldfastModule } from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Account, CardHolds, Checkout, Order, Points } from '../api/usage/10-try-confirm-cancel.js';
import { silent } from './support/recording-engine.js';

let database: TestDatabase;
let app: TestingModule;
let cards: CardGateway;

/** A foreign card gateway that the program's `fetch` reaches. */
class CardGateway {
  readonly calls: string[] = [];
  isBroken = false;
  private readonly keys = new Set<string>();
  private readonly server: Server;
  private readonly fetch = globalThis.fetch;

  constructor() {
    this.server = createServer((request, response) => {
      const key = String(request.headers['idempotency-key'] ?? '');
      if (key !== '' && !this.keys.has(key)) this.calls.push(pathOf(request));
      if (key === '') this.calls.push(pathOf(request));
      this.keys.add(key);
      response.statusCode = this.isBroken ? 500 : 200;
      response.end(JSON.stringify({ authorizationId: 'a-1' }));
    });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    const { port } = this.server.address() as AddressInfo;
    globalThis.fetch = (url, init) => this.fetch(String(url).replace('https://cards.example', `http://127.0.0.1:${port}`), init);
  }

  async close(): Promise<void> {
    globalThis.fetch = this.fetch;
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

function pathOf({ method, url }: IncomingMessage): string {
  return `${method} ${url}`;
}

beforeEach(async () => {
  database = await createTestDatabase();
  cards = new CardGateway();
  await cards.open();
  app = await Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url, entities: [Order, Account], synchronize: true }),
      TypeOrmModule.forFeature([Order, Account]),
      HoldfastModule.forRoot({ service: 'shop', transport: databaseTransport(), store: typeorm() }),
    ],
    providers: [CardHolds, Points, Checkout],
  })
    .setLogger(silent)
    .compile();
  await app.init();
  await app.get(DataSource).getRepository(Account).insert({ id: 'ann', balance: 150, frozen: 0 });
});

afterEach(async () => {
  await app.close();
  await cards.close();
  await database.drop();
});

const account = async () => app.get(DataSource).getRepository(Account).findOneByOrFail({ id: 'ann' });

async function ended(): Promise<string[]> {
  const branches = async () => (await app.get(Branches).list()).items;
  await until('the end of all branches', async () => (await branches()).every(({ status }) => !/ing$/.test(status)));
  return (await branches()).map(({ method, status }) => `${method} ${status}`).sort();
}

it('an order that is placed takes the money and the points', async () => {
  await app.get(Checkout).place('o-1', 'ann');
  expect(await ended()).toEqual(['CardHolds.hold confirmed', 'Points.freeze confirmed']);
  expect(cards.calls).toEqual(['POST /authorizations', 'POST /authorizations/a-1/capture']);
  expect(await account()).toEqual({ id: 'ann', balance: 50, frozen: 0 });
});

it('an order that cannot be written gives both back', async () => {
  await app.get(DataSource).getRepository(Order).insert({ id: 'o-1', authorizationId: 'there already' });
  await expect(app.get(Checkout).place('o-1', 'ann')).rejects.toThrow('duplicate key');
  expect(await ended()).toEqual(['CardHolds.hold cancelled', 'Points.freeze cancelled']);
  expect(cards.calls).toEqual(['POST /authorizations', 'POST /orders/o-1/void']);
  expect(await account()).toEqual({ id: 'ann', balance: 150, frozen: 0 });
});

it('a card gateway that answers with an error may have done something all the same: it is told to release', async () => {
  cards.isBroken = true;
  await expect(app.get(Checkout).place('o-1', 'ann')).rejects.toThrow('card gateway answered 500');
  expect(await ended()).toEqual(['CardHolds.hold cancelled']);
  expect(cards.calls).toEqual(['POST /authorizations', 'POST /orders/o-1/void']);
  expect(await account()).toEqual({ id: 'ann', balance: 150, frozen: 0 });
});

it('a try outside any unit of work is refused', async () => {
  await expect(app.get(Points).freeze('ann', 1)).rejects.toMatchObject({ code: 'HF_TCC_NO_UNIT' });
  expect(await account()).toEqual({ id: 'ann', balance: 150, frozen: 0 });
});
