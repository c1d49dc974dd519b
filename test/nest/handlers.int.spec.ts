// What Nest puts around a handler, and policies of plain methods, on a real database with a virtual clock.
import { createTestDatabase, type TestDatabase, PATIENTLY } from '@holdfast-internal/test-support';
import { type Delivery, getDelivery, HoldfastModule, Idempotent, OnMessage, Retry, Transactional, UnitOfWork } from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import {
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  type Provider,
  Scope,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, REQUEST } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { tap } from 'rxjs';
import { silent } from './support/recording-engine.js';
import { Charges, OrderPlaced, Orders, orm } from './support/shop.js';

let database: TestDatabase;
let app: TestingModule;
let testing: HoldfastTesting;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  await app.close();
  await database.drop();
});

async function start(...providers: Provider[]): Promise<void> {
  const holdfast = HoldfastModule.forRoot({ service: 'shop', transport: inMemory(), store: typeorm() });
  const builder = Test.createTestingModule({ imports: [...orm(database.url), holdfast], providers: [Charges, Orders, ...providers] });
  app = await HoldfastTesting.inMemory(builder.setLogger(silent)).compile();
  await app.init();
  testing = app.get(HoldfastTesting);
}

const orderIds = async () => (await app.get(Charges).rows.find()).map(({ orderId }) => orderId).sort();

describe('around a request-scoped handler', () => {
  const seen: string[] = [];

  class OnlyOrders implements CanActivate {
    canActivate(context: ExecutionContext) {
      seen.push(`guard of ${getDelivery(context)?.id}`);
      return true;
    }
  }
  class Upper implements PipeTransform {
    transform = (value: unknown) => (value instanceof OrderPlaced ? new OrderPlaced(value.orderId.toUpperCase()) : value);
  }
  class FailAfter implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      const delivery = getDelivery(context) as Delivery;
      return next.handle().pipe(
        tap(() => {
          seen.push(`interceptor after ${delivery.id}`);
          if (delivery.id === 'm-bad') throw new Error('refused by the interceptor');
        }),
      );
    }
  }
  @Injectable({ scope: Scope.REQUEST })
  class Tenant {
    constructor(@Inject(REQUEST) readonly delivery: Delivery) {}
  }
  @Injectable()
  class Projection {
    constructor(
      @Inject(Tenant) private readonly tenant: Tenant,
      @Inject(Charges) private readonly charges: Charges,
    ) {}

    @OnMessage(OrderPlaced, { name: 'projection' })
    @UseGuards(OnlyOrders)
    @UsePipes(Upper)
    @UseInterceptors(FailAfter)
    @Retry(2)
    @Idempotent()
    @Transactional()
    async project(event: OrderPlaced) {
      await this.charges.rows.insert({ orderId: `${event.orderId} for ${this.tenant.delivery.id}`, attempt: 0 });
    }
  }

  it('guards, pipes and interceptors run inside its transaction, once per delivery', async () => {
    await start(Tenant, Projection);
    await testing.deliver(new OrderPlaced('good'), { id: 'm-good' });
    await testing.deliver(new OrderPlaced('good'), { id: 'm-good' });
    await testing.settled(PATIENTLY);
    await testing.deliver(new OrderPlaced('bad'), { id: 'm-bad' });
    await testing.clock.advance('1m');
    await testing.settled(PATIENTLY);
    // The other subscription, charges.book, wrote the plain rows; the interceptor's error took the handler's row with it.
    await expect(orderIds()).resolves.toEqual(['GOOD for m-good', 'bad', 'good']);
    expect(seen).toEqual([
      'guard of m-good',
      'interceptor after m-good',
      'guard of m-bad',
      'interceptor after m-bad',
      'guard of m-bad',
      'interceptor after m-bad',
    ]);
    await expect(testing.deadLetters()).resolves.toMatchObject([{ subscription: 'projection', attempts: 2 }]);
  });
});

it('a catch-all filter of the application cannot acknowledge what failed', async () => {
  @Catch()
  class Swallow implements ExceptionFilter {
    catch = () => 'all is well';
  }
  @Injectable()
  class Failing {
    @OnMessage(OrderPlaced, { name: 'failing' })
    @Retry(2)
    async fail(_event: OrderPlaced) {
      throw new Error('cannot');
    }
  }
  await start(Failing, { provide: APP_FILTER, useClass: Swallow });
  await testing.deliver(new OrderPlaced('o-1'));
  await testing.clock.advance('1m');
  await testing.settled(PATIENTLY);
  await expect(testing.deadLetters('failing')).resolves.toMatchObject([{ attempts: 2, error: { message: 'cannot' } }]);
});

describe('a plain method', () => {
  @Injectable()
  class Gifts {
    calls = 0;
    constructor(@Inject(Charges) private readonly charges: Charges) {}

    @Idempotent({ key: (customer) => customer, ttl: '30d' })
    @Retry({ attempts: 3, backoff: { delay: 1, jitter: 'none' } })
    @Transactional()
    async give(customer: string, failures = 0): Promise<{ gift: string; call: number }> {
      this.calls += 1;
      await this.charges.rows.insert({ orderId: `gift ${customer} ${this.calls}`, attempt: 0 });
      if (this.calls <= failures) throw new Error('not this time');
      return { gift: customer, call: this.calls };
    }
  }

  it('has one effect however often it is called, and gives the stored result', async () => {
    await start(Gifts);
    const gifts = app.get(Gifts);
    await expect(gifts.give('ann')).resolves.toEqual({ gift: 'ann', call: 1 });
    await expect(gifts.give('ann')).resolves.toEqual({ gift: 'ann', call: 1 });
    await expect(orderIds()).resolves.toEqual(['gift ann 1']);
  });

  it('is tried again outside its transaction: the rows of a failed attempt are gone', async () => {
    await start(Gifts);
    let isDone = false;
    const given = app
      .get(Gifts)
      .give('bob', 2)
      .finally(() => (isDone = true));
    // No faster than the real time: the clock does not stand still for a plain method, which has a time-out.
    while (!isDone) await testing.clock.advance('10ms');
    await expect(given).resolves.toEqual({ gift: 'bob', call: 3 });
    await expect(orderIds()).resolves.toEqual(['gift bob 3']);
  });

  it('gives the stored result to a second call in the same unit of work', async () => {
    await start(Gifts);
    const gifts = app.get(Gifts);
    const both = await app.get(UnitOfWork).run(async () => [await gifts.give('ann'), await gifts.give('ann')]);
    expect(both).toEqual(Array(2).fill({ gift: 'ann', call: 1 }));
    await expect(orderIds()).resolves.toEqual(['gift ann 1']);
  });

  it('is called again when its unit runs again after a serialization failure', async () => {
    await start(Gifts);
    const { rows } = app.get(Charges);
    let runs = 0;
    let isDone = false;
    const given = app
      .get(UnitOfWork)
      .run({ retries: 1 }, async () => {
        runs += 1;
        const gift = await app.get(Gifts).give('bob');
        if (runs === 1) await rows.query(`do $$ begin raise exception using errcode = '40001'; end $$`);
        return gift;
      })
      .finally(() => (isDone = true));
    given.catch(() => undefined);
    while (!isDone) await testing.clock.advance('10ms');
    await expect(given).resolves.toEqual({ gift: 'bob', call: 2 });
    await expect(orderIds()).resolves.toEqual(['gift bob 2']);
  });
});

describe('what a test sees', () => {
  it('committed messages in order, with the options they were published with, and none of a rollback', async () => {
    await start();
    await app.get(Orders).place('o-1');
    await expect(app.get(Orders).place('o-2', true)).rejects.toThrow();
    await app.get(Orders).place('o-3');
    expect(testing.published(OrderPlaced)).toEqual([
      { message: new OrderPlaced('o-1'), options: { key: 'o-1' } },
      { message: new OrderPlaced('o-3'), options: { key: 'o-3' } },
    ]);
  });

  it('a delayed message arrives when the clock has moved on, days at once', async () => {
    await start();
    await app.get(Orders).bus.publish(new OrderPlaced('later'), { delay: '5d' });
    await testing.clock.advance('4d');
    await testing.settled(PATIENTLY);
    await expect(orderIds()).resolves.toEqual([]);
    await testing.clock.advance('2d');
    await testing.settled(PATIENTLY);
    await expect(orderIds()).resolves.toEqual(['later']);
  });

  it('a handler that hangs ends at its time-out', async () => {
    const signals: AbortSignal[] = [];
    @Injectable()
    class Hanging {
      @OnMessage(OrderPlaced, { name: 'hanging', timeout: '20s' })
      @Retry(false)
      async hang(_event: OrderPlaced, { signal }: Delivery) {
        signals.push(signal);
        await new Promise(() => {});
      }
    }
    await start(Hanging);
    await testing.deliver(new OrderPlaced('o-1'));
    await testing.clock.advance('21s');
    await testing.settled(PATIENTLY);
    await expect(testing.deadLetters('hanging')).resolves.toMatchObject([{ error: { code: 'HF_HANDLER_TIMEOUT' } }]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });

  it('time stands still while a database answers slowly', async () => {
    @Injectable()
    class Slow {
      constructor(@Inject(Charges) private readonly charges: Charges) {}

      @OnMessage(OrderPlaced, { name: 'slow', timeout: '2s' })
      @Retry(false)
      async handle(event: OrderPlaced) {
        await this.charges.rows.query('select pg_sleep(0.7)');
        await this.charges.rows.insert({ orderId: `slow ${event.orderId}`, attempt: 1 });
      }
    }
    await start(Slow);
    await testing.deliver(new OrderPlaced('o-1'));
    await testing.clock.advance('21s');
    await testing.settled(PATIENTLY);
    await expect(testing.deadLetters('slow')).resolves.toEqual([]);
    await expect(orderIds()).resolves.toContain('slow o-1');
  });

  it('HF_TEST_NOT_SETTLED while something is in flight', async () => {
    let release = () => {};
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    @Injectable()
    class Waiting {
      @OnMessage(OrderPlaced, { name: 'waiting' })
      async wait(_event: OrderPlaced) {
        await isReleased;
      }
    }
    await start(Waiting);
    await testing.deliver(new OrderPlaced('o-1'));
    await expect(testing.settled({ timeout: '300ms' })).rejects.toMatchObject({ code: 'HF_TEST_NOT_SETTLED' });
    release();
    await testing.settled(PATIENTLY);
  });
});
