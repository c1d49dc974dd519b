import { SagaAborted } from '@holdfast/core';
import { HotelBooked, openService, type Service, type ServiceProcess, TripRequested, undoneBy, until } from './support/trip.js';

let trips: Service;

beforeEach(async () => {
  trips = await openService('trips');
});

afterEach(() => trips.close());

/** Books a hotel, then a flight that depends on it, then a car; each can be undone. */
function booking({ bus, write }: ServiceProcess): void {
  bus.on(
    TripRequested,
    async ({ trip }) => {
      await write(`${trip} hotel`);
      await bus.bus.publish(new HotelBooked(trip));
    },
    { name: 'hotels.book', ...undoneBy(async ({ trip }: TripRequested) => write(`${trip} no hotel`)) },
  );
  bus.on(HotelBooked, async ({ trip }) => write(`${trip} flight`), {
    name: 'flights.book',
    ...undoneBy(async ({ trip }: HotelBooked) => write(`${trip} no flight`)),
  });
}

const endOf = async (id: string, count: number) =>
  until(`the end of ${id}`, async () => (await trips.written()).filter((text) => text.startsWith(`${id} `)).length >= count);

it('an abort undoes what the service did for the saga, the last first, and nothing of other sagas', async () => {
  const { bus } = await trips.open(booking);
  for (const id of ['t1', 't2']) await bus.bus.publish(new TripRequested(id), { sagaId: id });
  await bus.bus.publish(new TripRequested('t3'));
  for (const id of ['t1', 't2', 't3']) await endOf(id, 2);
  await bus.bus.publish(new SagaAborted('the customer cancelled'), { sagaId: 't1' });
  await endOf('t1', 4);
  await bus.settled(10_000);
  const written = await trips.written();
  expect(written.filter((text) => text.startsWith('t1 '))).toEqual(['t1 hotel', 't1 flight', 't1 no flight', 't1 no hotel']);
  expect(written.filter((text) => / no /.test(text))).toHaveLength(2);
});
