// Requests in an application under test: the reply comes through the real handler, and time moves only when told.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { Command, HoldfastModule, Idempotent, Message, MessageBus, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor, UseInterceptors } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { map } from 'rxjs';

@Message('price.ask')
class AskPrice extends Command<{ cents: number }> {
  constructor(readonly sku: string) {
    super();
  }
}

class Doubled implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<{ cents: number }>) {
    return next.handle().pipe(map(({ cents }) => ({ cents: cents * 2 })));
  }
}

@Injectable()
class Prices {
  attempts = 0;

  @OnMessage(AskPrice)
  @Retry({ attempts: 3, backoff: { delay: '10s', factor: 1, jitter: 'none' } })
  @Idempotent()
  @Transactional()
  @UseInterceptors(Doubled)
  async price({ sku }: AskPrice): Promise<{ cents: number }> {
    this.attempts += 1;
    if (this.attempts < 3) throw new Error('not yet');
    return { cents: sku.length };
  }
}

let database: TestDatabase;
let app: TestingModule;

beforeEach(async () => {
  database = await createTestDatabase();
  const builder = Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url }),
      HoldfastModule.forRoot({ service: 'shop', transport: inMemory(), store: typeorm() }),
    ],
    providers: [Prices],
  });
  app = await HoldfastTesting.inMemory(builder).compile();
  await app.init();
});
afterEach(async () => {
  await app.close();
  await database.drop();
});

it('a request is settled while its handler waits to be tried again, answered in time, as interceptors left it, and is all that was published', async () => {
  const testing = app.get(HoldfastTesting);
  const asked = app.get(MessageBus).request(new AskPrice('abc'), { timeout: '30s' });
  await testing.settled(PATIENTLY);
  expect(app.get(Prices).attempts).toBe(1);
  await testing.clock.advance('25s');
  expect(await asked).toEqual({ cents: 6 });
  expect(testing.published(AskPrice)).toEqual([{ message: new AskPrice('abc'), options: {} }]);
  expect(testing.published(Object)).toHaveLength(1);
});

it('a request ends at its time-out on the clock of the application, and its handler is tried all the same', async () => {
  const testing = app.get(HoldfastTesting);
  const asked = app.get(MessageBus).request(new AskPrice('abc'), { timeout: '15s' });
  const failed = expect(asked).rejects.toMatchObject({ code: 'HF_REQUEST_TIMEOUT' });
  await testing.settled(PATIENTLY);
  await testing.clock.advance('30s');
  await failed;
  expect(app.get(Prices).attempts).toBe(3);
});
