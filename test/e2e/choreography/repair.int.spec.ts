import { until } from '@holdfast-internal/test-support';
import { NonRetryableError, SagaAborted, storeTools, subscribe } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { HotelBooked, openService, ReserveCar, type Service, type ServiceProcess, TripRequested, undoneBy } from './support/trip.js';

let trips: Service;
/** Whether the undo of a flight works. */
let isMended: boolean;

beforeEach(async () => {
  trips = await openService('trips');
  isMended = false;
});

afterEach(() => trips.close());

/** Books a hotel, then a flight; the flight cannot be given back until it is mended. */
function booking({ bus, write }: ServiceProcess): void {
  bus.on(
    TripRequested,
    async ({ trip }) => {
      await write(`${trip} hotel`);
      await bus.bus.publish(new HotelBooked(trip));
    },
    { name: 'hotels.book', ...undoneBy(async ({ trip }: TripRequested) => write(`${trip} no hotel`)) },
  );
  const giveBack = async ({ trip }: HotelBooked) => {
    await write(`${trip} no flight`);
    if (!isMended) throw new Error('the airline is closed');
  };
  bus.on(HotelBooked, async ({ trip }) => write(`${trip} flight`), { name: 'flights.book', ...undoneBy(giveBack, { retry: 1 }) });
}

const wrote = (count: number) => until(`line ${count}`, async () => (await trips.written()).length >= count);

/** Nobody serves it any more, and an operator says that it is meant to be gone. */
async function retire(subscription: string): Promise<void> {
  const dataSource = await new DataSource({ type: 'postgres', url: trips.url }).initialize();
  await storeTools(typeorm({ dataSource }), 'trips').subscriptions.retire(subscription, {
    by: 'anna',
    reason: 'it is not undone any more',
  });
  await dataSource.destroy();
}

/** A saga whose undo has failed for good. */
async function parked() {
  const process = await trips.open(booking);
  const { bus } = process;
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await wrote(2);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await until('the dead letter', async () => (await bus.deadLetters.list()).items.length === 1);
  return process;
}

it('an undo that is given up waits for a person, with its reason, and what was done before it waits behind it', async () => {
  const { bus } = await parked();
  const { items } = await bus.deadLetters.list({ subscription: 'flights.book.undo', key: 't1' });
  expect(items).toMatchObject([{ message: { type: 'hotel.booked', key: 't1' }, error: { message: 'the airline is closed' }, attempts: 1 }]);
  await bus.settled(30_000);
  expect(await trips.written()).toEqual(['t1 hotel', 't1 flight']);
  expect(await bus.subscriptions.list()).toContainEqual(expect.objectContaining({ name: 'flights.book.undo', deadLetters: 1 }));
});

it('an undo that is redriven goes on with what comes behind it', async () => {
  const { bus } = await parked();
  isMended = true;
  await bus.deadLetters.redrive({ subscription: 'flights.book.undo' }, { by: 'anna' });
  await wrote(4);
  expect(await trips.written()).toEqual(['t1 hotel', 't1 flight', 't1 no flight', 't1 no hotel']);
});

it('an undo that is discarded is left out, what comes behind it is done, and it is written down who did it', async () => {
  const { bus } = await parked();
  await bus.deadLetters.discard({ subscription: 'flights.book.undo' }, { by: 'anna', reason: 'the airline paid us back' });
  await wrote(3);
  await bus.settled(30_000);
  expect(await trips.written()).toEqual(['t1 hotel', 't1 flight', 't1 no hotel']);
  expect(await trips.look('select actor, action, reason from holdfast_audit')).toEqual([
    { actor: 'anna', action: 'discard', reason: 'the airline paid us back' },
  ]);
});

it('a part whose undo was retired is a dead letter that says so, and what was done before it is undone when that is discarded', async () => {
  const one = await trips.open(booking);
  await one.bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await wrote(2);
  await one.close();
  await retire('flights.book.undo');
  const { bus } = await trips.open(({ bus, write }) => {
    const giveBack = async ({ trip }: TripRequested) => write(`${trip} no hotel`);
    bus.on(TripRequested, async ({ trip }) => write(`${trip} hotel`), { name: 'hotels.book', ...undoneBy(giveBack) });
    bus.on(HotelBooked, async ({ trip }) => write(`${trip} flight`), { name: 'flights.book', idempotent: true, transactional: true });
  });
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await until('the dead letter', async () => (await bus.deadLetters.list()).items.length === 1);
  const { items } = await bus.deadLetters.list({ key: 't1' });
  expect(items).toMatchObject([{ subscription: 'flights.book.undo', error: { code: 'HF_SAGA_UNDO_RETIRED' } }]);
  expect(items[0]?.error.message).toMatch('by flights.book.undo, which is retired');
  await bus.deadLetters.discard({ key: 't1' }, { by: 'anna', reason: 'done by hand' });
  await wrote(3);
  expect(await trips.written()).toEqual(['t1 hotel', 't1 flight', 't1 no hotel']);
});

it('what is undone waits while its subscription is paused', async () => {
  const { bus } = await trips.open(booking);
  isMended = true;
  await bus.subscriptions.pause('flights.book.undo', { by: 'anna' });
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await wrote(2);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await until('the abort', async () => (await trips.look('select from holdfast_choreography where undoing is not null')).length === 1);
  await bus.settled(30_000);
  expect(await trips.written()).toHaveLength(2);
  await bus.subscriptions.resume('flights.book.undo', { by: 'anna' });
  await wrote(4);
});

it('what a handler did under its old name is undone under its new one, by another process', async () => {
  const handler = (name: string, formerly?: string) => (process: ServiceProcess) =>
    process.bus.on(TripRequested, async ({ trip }) => process.write(`${trip} ${name}`), {
      name,
      formerly,
      ...undoneBy(async ({ trip }: TripRequested) => process.write(`${trip} no ${name}`)),
    });
  const one = await trips.open(handler('hotels.old'));
  await one.bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await wrote(1);
  await one.close();
  const other = await trips.open(handler('hotels.new', 'hotels.old'));
  await other.bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await wrote(2);
  expect(await trips.written()).toEqual(['t1 hotels.old', 't1 no hotels.new']);
});

it('a request of an aborted saga is refused, also when it is repeated, and its undo answers nobody', async () => {
  const answers: unknown[] = [];
  const dropped: unknown[] = [];
  const unsubscribe = subscribe('reply:dropped', (fact) => dropped.push(fact));
  const { bus } = await trips.open(({ bus, write }) => {
    bus.on(ReserveCar, async ({ trip }) => ({ plate: `of ${trip}` }), {
      name: 'cars.reserve',
      ...undoneBy(async ({ trip }: ReserveCar) => write(`${trip} no car`)),
    });
    const ask = async ({ trip }: TripRequested) => {
      const answer = bus.bus.request(new ReserveCar(trip), { id: `car of ${trip}`, timeout: '10s' });
      answers.push(await answer.catch((error: unknown) => error));
    };
    bus.on(TripRequested, ask, { name: 'trips.ask' });
  });
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await until('the answer', () => answers.length === 1);
  for (const sagaId of ['t1', 't2']) await bus.bus.publish(new SagaAborted('too dear'), { sagaId });
  await wrote(1);
  for (const count of [2, 3]) {
    await bus.bus.publish(new TripRequested('t2'), { sagaId: 't2' });
    await until('the answer', () => answers.length === count);
  }
  await bus.settled(30_000);
  const refused = (code: string) => expect.objectContaining({ code: 'HF_REQUEST_REJECTED', details: expect.objectContaining({ code }) });
  expect(answers).toEqual([{ plate: 'of t1' }, refused('HF_SAGA_ABORTED'), refused('HF_REQUEST_UNDONE')]);
  expect(dropped).toEqual([]);
  unsubscribe();
});

it('an undo that cannot work is given up at once when it says so', async () => {
  const { bus } = await trips.open(({ bus }) => {
    const never = () => {
      throw new NonRetryableError('it has flown');
    };
    bus.on(TripRequested, () => undefined, { name: 'flights.book', ...undoneBy(never) });
  });
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await bus.settled(30_000);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await until('the dead letter', async () => (await bus.deadLetters.list()).items.length === 1);
  expect((await bus.deadLetters.list()).items).toMatchObject([{ attempts: 1, error: { message: 'it has flown' } }]);
});

it('a message that is redriven when nobody remembers it any more has no second effect, because it is recorded what it did', async () => {
  const { bus } = await trips.open(booking);
  isMended = true;
  const { id } = await bus.bus.publish(new HotelBooked('t1'), { sagaId: 't1' });
  await wrote(1);
  await trips.look('delete from holdfast_inbox');
  await trips.look(
    `insert into holdfast_delivery (subscription_id, state, source, message_id, type, next_attempt_at, attributes, body, has_consent)
     select s.id, 'retry', p.source, message_id, type, now(), attributes, body, true from holdfast_choreography_part p, holdfast_subscription s
     where message_id = $1 and s.name = 'flights.book'`,
    [id],
  );
  await until('that it is dealt with', async () => (await trips.look('select from holdfast_delivery')).length === 0);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await wrote(2);
  await bus.settled(30_000);
  expect(await trips.written()).toEqual(['t1 flight', 't1 no flight']);
});
