// The published example of units of work (test/api/usage/06), run as an application.
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { HoldfastModule, OnMessage } from '@holdfast/nest';
import { database as databaseTransport } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { silent } from '../../nest/support/recording-engine.js';
import { AuditLog, Stock, StockItem, StockMoved } from '../../api/usage/06-unit-of-work.js';

@Injectable()
class Listener {
  readonly moves: string[] = [];

  @OnMessage(StockMoved, { name: 'listener.moved' })
  async moved({ sku, by }: StockMoved): Promise<void> {
    this.moves.push(`${sku} ${by}`);
  }
}

let database: TestDatabase;
let app: TestingModule;

beforeAll(async () => {
  database = await createTestDatabase();
  app = await Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url, entities: [StockItem], synchronize: true }),
      TypeOrmModule.forFeature([StockItem]),
      HoldfastModule.forRoot({ service: 'stock', store: typeorm(), transport: databaseTransport() }),
    ],
    providers: [Stock, AuditLog, Listener],
  })
    .setLogger(silent)
    .compile();
  await app.init();
  await app.get(DataSource).query('create table audit (what text)');
});

afterAll(async () => {
  await app.close();
  await database.drop();
});

const items = () => app.get(DataSource).getRepository(StockItem);
const audited = async () =>
  (await app.get(DataSource).query('select what from audit order by what')).map(({ what }: { what: string }) => what);

it('runs as it says', async () => {
  const stock = app.get(Stock);
  const lines = ['a', 'b', 'a'].map((sku) => Object.assign(new StockItem(), { sku, amount: 10 }));
  await expect(stock.import(lines)).resolves.toBe(2);
  await eventually(async () => (await app.get(AuditLog).count()) === 2, Boolean);
  await expect(audited()).resolves.toEqual(['imported 2', 'refused a']);

  await expect(stock.move('a', -3)).resolves.toBe(7);
  await expect(stock.move('a', -30)).rejects.toThrow('a would be -23');
  await expect(stock.moveOrReport('b', 5)).resolves.toBe('moved');
  const moved = await Promise.all(Array.from({ length: 4 }, () => stock.move('b', 1)));
  expect(moved.sort()).toEqual([16, 17, 18, 19]);

  await stock.legacy('a');
  await expect(items().find({ order: { sku: 'ASC' } })).resolves.toEqual([{ sku: 'b', amount: 19 }]);
  const { moves } = app.get(Listener);
  await eventually(() => moves.length >= 7, Boolean);
  expect([...moves].sort()).toEqual(['a -3', 'a 0', 'b 1', 'b 1', 'b 1', 'b 1', 'b 5']);
});
