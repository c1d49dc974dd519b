// The program of usage 09 as an application: what it promises its reader is what happens.
import { createTestDatabase, type TestDatabase, PATIENTLY, PATIENCE_MS } from '@holdfast-internal/test-support';
import {
  Compensate,
  DeadLetters,
  Delivery,
  getDelivery,
  HoldfastModule,
  Idempotent,
  OnMessage,
  Retry,
  SagaAborted,
  Subscriptions,
  Transactional,
} from '@holdfast/nest';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { database as databaseTransport } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { type CanActivate, type ExecutionContext, Inject, Injectable, Module, Scope, type Type, UseGuards } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { Booking, Flights, Hotels, TripRequested, Trips } from '../api/usage/09-choreography.js';
import { silent } from './support/recording-engine.js';

let database: TestDatabase;
let app: TestingModule;

@Module({ imports: [TypeOrmModule.forFeature([Booking])], providers: [Trips, Hotels, Flights] })
class TravelModule {}

const modules = (providers: Type[] = [], transport = databaseTransport()) =>
  Test.createTestingModule({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url: database.url, entities: [Booking], synchronize: true }),
      HoldfastModule.forRoot({ service: 'travel', transport, store: typeorm() }),
      TravelModule,
    ],
    providers,
  }).setLogger(silent);

async function started(builder = modules()): Promise<Trips> {
  app = await builder.compile();
  await app.init();
  return app.get(Trips);
}

const bookings = async () => app.get(DataSource).getRepository(Booking).find();

async function become(status: Booking['status']): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; !(await bookings()).some((booking) => booking.status === status); ) {
    if (Date.now() > end) throw new Error(`no booking was ${status} within 15 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  await app?.close();
  await database.drop();
});

it('a trip that the customer cancels is undone, once it is booked', async () => {
  const trips = await started();
  await trips.request('t-1', 3);
  await become('booked');
  await trips.customerCancelled('t-1');
  await become('cancelled');
  expect(await bookings()).toEqual([{ tripId: 't-1', status: 'cancelled' }]);
});

it('a trip without a flight is undone by the services that took part', async () => {
  const trips = await started();
  await trips.request('t-10', 3);
  await become('cancelled');
  expect(await bookings()).toEqual([{ tripId: 't-10', status: 'cancelled' }]);
});

it('a test kit plays a saga and its abort', async () => {
  const trips = await started(HoldfastTesting.inMemory(modules([], inMemory())));
  const testing = app.get(HoldfastTesting);
  await trips.request('t-1', 3);
  await testing.settled(PATIENTLY);
  expect(await bookings()).toEqual([{ tripId: 't-1', status: 'booked' }]);
  await testing.deliver(new SagaAborted('no seats'), { sagaId: 't-1', source: 'flights' });
  await testing.settled(PATIENTLY);
  expect(await bookings()).toEqual([{ tripId: 't-1', status: 'cancelled' }]);
  expect((await app.get(Subscriptions).list()).map(({ name }) => name)).toEqual([
    'flights.book',
    'holdfast.saga-aborted',
    'hotels.book',
    'hotels.book.undo',
  ]);
});

it('what undoes a handler is given its message as an instance, and the delivery', async () => {
  const undone: unknown[] = [];
  @Injectable()
  class Cars {
    @OnMessage(TripRequested, { name: 'cars.rent' })
    @Compensate('giveBack')
    @Idempotent()
    @Transactional()
    async rent(_event: TripRequested): Promise<void> {}

    async giveBack(event: TripRequested, delivery: Delivery): Promise<void> {
      undone.push(event instanceof TripRequested, event.days, delivery instanceof Delivery, delivery.subscription, delivery.sagaId);
    }
  }
  const trips = await started(HoldfastTesting.inMemory(modules([Cars], inMemory())));
  await trips.request('t-1', 3);
  await app.get(HoldfastTesting).settled(PATIENTLY);
  await trips.customerCancelled('t-1');
  await app.get(HoldfastTesting).settled(PATIENTLY);
  expect(undone).toEqual([true, 3, true, 'cars.rent.undo', 't-1']);
});

it('what undoes a handler of a request-scoped class has an instance of its own, with the delivery as its request, and guards let it through', async () => {
  const undone: unknown[] = [];
  const guarded: string[] = [];
  @Injectable()
  class Guard implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      guarded.push(String(getDelivery(context)?.subscription));
      return true;
    }
  }
  @Injectable({ scope: Scope.REQUEST })
  class Cars {
    constructor(@Inject(REQUEST) private readonly request: Delivery) {}

    @OnMessage(TripRequested, { name: 'cars.rent' })
    @Compensate('giveBack')
    @Idempotent()
    @Transactional()
    async rent(_event: TripRequested): Promise<void> {}

    @UseGuards(Guard)
    async giveBack({ tripId }: TripRequested): Promise<void> {
      undone.push(tripId, this.request.subscription);
    }
  }
  const trips = await started(HoldfastTesting.inMemory(modules([Guard, Cars], inMemory())));
  await trips.request('t-1', 3);
  await app.get(HoldfastTesting).settled(PATIENTLY);
  await trips.customerCancelled('t-1');
  await app.get(HoldfastTesting).settled(PATIENTLY);
  expect({ undone, guarded }).toEqual({ undone: ['t-1', 'cars.rent.undo'], guarded: ['cars.rent.undo'] });
});

it('what undoes a handler is tried as often as its own @Retry says, and then waits for a person', async () => {
  let calls = 0;
  @Injectable()
  class Cars {
    @OnMessage(TripRequested, { name: 'cars.rent' })
    @Retry(5)
    @Compensate('giveBack')
    @Idempotent()
    @Transactional()
    async rent(_event: TripRequested): Promise<void> {}

    @Retry({ attempts: 2, backoff: { delay: 1 } })
    @Transactional()
    async giveBack(_event: TripRequested): Promise<void> {
      calls += 1;
      throw new Error('nobody is there');
    }
  }
  const trips = await started(modules([Cars]));
  await trips.request('t-1', 3);
  await become('booked');
  await trips.customerCancelled('t-1');
  const letters = () => app.get(DeadLetters).list({ subscription: 'cars.rent.undo' });
  for (const end = Date.now() + PATIENCE_MS; (await letters()).items.length === 0 && Date.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect((await letters()).items).toMatchObject([{ attempts: 2, error: { message: 'nobody is there' } }]);
  expect(calls).toBe(2);
});

it('a compensation that cannot keep its promise is refused at the start, each with its reason', async () => {
  @Injectable()
  class Wrong {
    @OnMessage(TripRequested, { name: 'wrong.bare' })
    @Compensate('undo')
    async bare(_event: TripRequested): Promise<void> {}

    @OnMessage(TripRequested, { name: 'wrong.kafka' })
    @Compensate('undo')
    @Idempotent({ ttl: '120d' })
    @Transactional({ protocol: 'kafka' })
    async kafka(_event: TripRequested): Promise<void> {}

    @OnMessage(TripRequested, { name: 'wrong.cross' })
    @Compensate('bare')
    @Idempotent({ onExpired: 'handle' })
    @Transactional()
    async cross(_event: TripRequested): Promise<void> {}

    @Idempotent()
    async undo(_event: TripRequested): Promise<void> {}
  }
  const problems = await started(modules([Wrong])).then(
    () => 'started',
    (error: Error) => error.message,
  );
  for (const part of [
    'subscription "wrong.bare": @Compensate needs @Transactional',
    'subscription "wrong.bare": @Compensate needs @Idempotent',
    `subscription "wrong.kafka": @Compensate is not possible with transactional.protocol 'kafka'`,
    'the ttl of @Idempotent is 10368000000 ms',
    `subscription "wrong.cross": @Compensate is not possible with onExpired: 'handle'`,
    "@Compensate('bare') on Wrong.cross names a method with a work of its own",
    "@Compensate('undo') on Wrong.bare: what undoes a handler has one effect already",
  ])
    expect(problems).toContain(part);
});
