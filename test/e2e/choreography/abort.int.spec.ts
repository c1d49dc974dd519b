import { ears, until, gate } from '@holdfast-internal/test-support';
import { type Delivery, SagaAborted } from '@holdfast/core';
import { HotelBooked, HotelCancelled, openService, type Service, type ServiceProcess, TripRequested, undoneBy } from './support/trip.js';

let trips: Service;
const hear = ears();

beforeEach(async () => {
  trips = await openService('trips');
});

afterEach(async () => {
  await trips.close();
});

/** Books a hotel, then a flight that depends on it; each can be undone. */
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

const writtenOf = async (id: string) => (await trips.written()).filter((text) => text.startsWith(`${id} `));
const comes = (id: string, count: number) => until(`line ${count} of ${id}`, async () => (await writtenOf(id)).length >= count);
const tombstones = async () => (await trips.look('select from holdfast_choreography where aborted_at is not null')).length;
const aborted = (count = 1) => until('the abort', async () => (await tombstones()) === count);

it('an abort undoes what the service did for the saga, the last first, and nothing of other sagas', async () => {
  const { bus } = await trips.open(booking);
  for (const id of ['t1', 't2']) await bus.bus.publish(new TripRequested(id), { sagaId: id });
  await bus.bus.publish(new TripRequested('t3'));
  for (const id of ['t1', 't2', 't3']) await comes(id, 2);
  await bus.bus.publish(new SagaAborted('the customer cancelled'), { sagaId: 't1' });
  await comes('t1', 4);
  await bus.settled(30_000);
  expect(await writtenOf('t1')).toEqual(['t1 hotel', 't1 flight', 't1 no flight', 't1 no hotel']);
  expect((await trips.written()).filter((text) => text.includes(' no '))).toHaveLength(2);
});

it('an abort is told once, with its reason and what is to be undone; a second one, and a repeat, change nothing', async () => {
  const [told, undone] = [hear('saga:aborted'), hear('saga:part-undone')];
  const { bus } = await trips.open(booking);
  const { id: message } = await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await comes('t1', 2);
  const abort = await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await comes('t1', 4);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1', id: abort.id });
  await bus.bus.publish(new SagaAborted('too late'), { sagaId: 't1' });
  await bus.settled(30_000);
  expect(await writtenOf('t1')).toHaveLength(4);
  expect(told).toEqual([{ id: 't1', reason: 'too dear', parts: 2 }]);
  expect(undone.map(({ subscription }) => subscription)).toEqual(['flights.book', 'hotels.book']);
  expect(undone[1]).toEqual({ id: 't1', message, source: 'trips', type: 'trip.requested', subscription: 'hotels.book' });
});

it('a handler that is in work when the saga is aborted commits first, and is undone', async () => {
  const door = gate();
  const { bus } = await trips.open(({ bus, write }) => {
    bus.on(
      TripRequested,
      async ({ trip }) => {
        await write(`${trip} hotel`);
        await door.pass();
      },
      { name: 'hotels.book', ...undoneBy(async ({ trip }: TripRequested) => write(`${trip} no hotel`)) },
    );
  });
  const busy = hear('delivery:retry-scheduled');
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await door.reached;
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  // It waits for the handler, gives its connection back, and costs no attempt.
  await until('that the abort waits', () => busy.some(({ code, attempt }) => code === 'HF_SAGA_BUSY' && attempt === 0));
  expect(await tombstones()).toBe(0);
  door.open();
  await comes('t1', 2);
  expect(await writtenOf('t1')).toEqual(['t1 hotel', 't1 no hotel']);
});

it('a message that comes after the abort is dropped by what could be undone, and given to all others', async () => {
  const dropped = hear('saga:message-dropped');
  const { bus } = await trips.open((process) => {
    booking(process);
    process.bus.on(TripRequested, async ({ trip }) => process.write(`${trip} counted`), { name: 'statistics.count', transactional: true });
  });
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await aborted();
  const { id } = await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await comes('t1', 1);
  await until('the drop', () => dropped.length === 1);
  await bus.settled(30_000);
  expect(await writtenOf('t1')).toEqual(['t1 counted']);
  expect(dropped).toEqual([expect.objectContaining({ id, sagaId: 't1', subscription: 'hotels.book', type: 'trip.requested' })]);
  expect((await bus.deadLetters.list()).items).toEqual([]);
  // It is remembered as what never ran, so that nobody takes it for something to undo.
  expect(await trips.look('select status from holdfast_inbox where message_id = $1', [id])).toEqual([{ status: 'cancelled' }]);
});

it('a message that failed before the abort is not undone, and dropped when it is tried again', async () => {
  let calls = 0;
  const undone: string[] = [];
  const dropped = hear('saga:message-dropped');
  const { bus } = await trips.open(({ bus }) => {
    const failing = () => {
      calls += 1;
      throw new Error('full');
    };
    const patient = { attempts: 5, backoff: { delay: '1s', jitter: 'none' } } as const;
    bus.on(TripRequested, failing, {
      name: 'hotels.book',
      retry: patient,
      ...undoneBy(({ trip }: TripRequested) => void undone.push(trip)),
    });
  });
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await until('the failure', async () => (await trips.look('select from holdfast_delivery')).length === 1);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't1' });
  await until('the drop', () => dropped.length === 1);
  await bus.settled(30_000);
  expect({ calls, undone, left: await trips.look('select from holdfast_delivery') }).toEqual({ calls: 1, undone: [], left: [] });
});

it('of a batch those of aborted sagas are dropped, and the others are handled', async () => {
  const set = ({ bus, write }: ServiceProcess) =>
    bus.on(TripRequested, async ({ trip }) => write(`${trip} hotel`), {
      name: 'hotels.book',
      batchSize: 10,
      ...undoneBy(async ({ trip }: TripRequested) => write(`${trip} no hotel`)),
    });
  const { bus } = await trips.open(set);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 't2' });
  await aborted();
  await bus.unitOfWork.run({}, async () => {
    for (const id of ['t3', 't2', 't1', 't2']) await bus.bus.publish(new TripRequested(id), { key: 'one', sagaId: id });
    await bus.bus.publish(new TripRequested('t4'), { key: 'one' });
  });
  await comes('t4', 1);
  await bus.settled(30_000);
  expect(await trips.written()).toEqual(['t3 hotel', 't1 hotel', 't4 hotel']);
  expect(await trips.look('select saga_id as id from holdfast_choreography_part order by 1')).toEqual([{ id: 't1' }, { id: 't3' }]);
});

it('what an undo publishes belongs to the saga', async () => {
  const hearOf: (string | undefined)[] = [];
  const { bus } = await trips.open(({ bus }) => {
    bus.on(TripRequested, () => undefined, {
      name: 'hotels.book',
      ...undoneBy(async ({ trip }: TripRequested) => void (await bus.bus.publish(new HotelCancelled(trip)))),
    });
    bus.on(HotelCancelled, (_message, { sagaId }: Delivery) => void hearOf.push(sagaId), { name: 'mail.tell', transactional: true });
  });
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 'saga of t1' });
  await bus.settled(30_000);
  await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 'saga of t1' });
  await until('the message', () => hearOf.length === 1);
  expect(hearOf).toEqual(['saga of t1']);
});

it('a handler may abort its own saga, and what it did is undone, too; anyone may listen', async () => {
  const reasons: string[] = [];
  const { bus } = await trips.open((process) => {
    const { bus, write } = process;
    bus.on(
      TripRequested,
      async ({ trip }) => {
        await write(`${trip} hotel`);
        await bus.bus.publish(new SagaAborted(`no beds for ${trip}`));
      },
      { name: 'hotels.book', ...undoneBy(async ({ trip }: TripRequested) => write(`${trip} no hotel`)) },
    );
    bus.on(SagaAborted, ({ reason }) => void reasons.push(reason), { name: 'mail.trip-is-off' });
  });
  await bus.bus.publish(new TripRequested('t1'), { sagaId: 't1' });
  await comes('t1', 2);
  await until('that it is told', () => reasons.length === 1);
  expect(await writtenOf('t1')).toEqual(['t1 hotel', 't1 no hotel']);
  expect(reasons).toEqual(['no beds for t1']);
});

it('an abort of no saga, and a saga id that cannot be used, are refused at the call', async () => {
  const { bus } = await trips.open(booking);
  await expect(bus.bus.publish(new SagaAborted('too dear'))).rejects.toMatchObject({ code: 'HF_SAGA_ABORT_OF_NONE' });
  for (const sagaId of ['', 'x'.repeat(256), 'a\0b'])
    await expect(bus.bus.publish(new TripRequested('t1'), { sagaId })).rejects.toMatchObject({ code: 'HF_MESSAGE_ID' });
});
