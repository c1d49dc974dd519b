// Services that have nothing in common but the broker, and a trip that all of them take part in.
import { describeWithRabbit, openRabbit, type RabbitArea, until, gate } from '@holdfast-internal/test-support';
import { type HoldfastEvents, SagaAborted, subscribe } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { HotelBooked, openService, type Service, type ServiceProcess, TripRequested, undoneBy } from './support/trip.js';

describeWithRabbit('choreographed sagas over RabbitMQ', () => {
  let area: RabbitArea;
  let exchange: string;
  let services: Service[];
  let unsubscribe: () => void = () => undefined;

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop());
  beforeEach(() => {
    exchange = area.name();
    services = [];
  });
  afterEach(async () => {
    unsubscribe();
    await Promise.all(services.map((service) => service.close()));
  });

  async function service(name: string): Promise<Service> {
    const opened = await openService(name, { transport: () => rabbitmq({ url: area.url, exchange }) });
    services.push(opened);
    return opened;
  }

  /** A hotel with rooms for everybody: `booked` holds who has one. */
  async function hotels(work: () => Promise<void> = async () => undefined) {
    const opened = await service('hotels');
    const set = ({ bus, write }: ServiceProcess) =>
      bus.on(
        TripRequested,
        async ({ trip }) => {
          await write(`+${trip}`);
          await work();
          await bus.bus.publish(new HotelBooked(trip));
        },
        { name: 'hotels.book', ...undoneBy(async ({ trip }: TripRequested) => write(`-${trip}`)) },
      );
    return { ...opened, process: await opened.open(set) };
  }

  /** A plane with so many seats; when they are gone, the trip is off. */
  async function flights(seats: number) {
    const opened = await service('flights');
    await opened.look(`create table plane (id int primary key, seats int not null check (seats >= 0))`);
    await opened.look(`insert into plane values (1, ${seats})`);
    const set = ({ bus, write, query }: ServiceProcess) =>
      bus.on(
        HotelBooked,
        async ({ trip }) => {
          const [, taken] = (await query('update plane set seats = seats - 1 where seats > 0')) as [unknown, number];
          if (taken === 0) {
            await bus.bus.publish(new SagaAborted(`no seat for ${trip}`));
            return;
          }
          await write(`+${trip}`);
        },
        {
          name: 'flights.book',
          ...undoneBy(async ({ trip }: HotelBooked) => {
            const wasThere = (await query('select 1 from written where text = $1', [`+${trip}`])) as unknown[];
            if (wasThere.length === 0) return;
            await query('update plane set seats = seats + 1');
            await write(`-${trip}`);
          }),
        },
      );
    return {
      ...opened,
      process: await opened.open(set),
      left: async () => (await opened.look<{ seats: number }>('select seats from plane'))[0]?.seats,
    };
  }

  /** Who has what by now. */
  async function booked({ written }: Pick<Service, 'written'>): Promise<string[]> {
    const lines = await written();
    return lines.flatMap((line) => (line.startsWith('+') && !lines.includes(`-${line.slice(1)}`) ? [line.slice(1)] : [])).sort();
  }

  it('a trip that one service cannot do its part of is undone in the others', async () => {
    const [hotel, plane] = [await hotels(), await flights(1)];
    const { bus } = hotel.process;
    await bus.bus.publish(new TripRequested('a'), { sagaId: 'a' });
    await until('the first seat', async () => (await plane.left()) === 0);
    await bus.bus.publish(new TripRequested('b'), { sagaId: 'b' });
    await until('the end of b', async () => (await hotel.written()).includes('-b'));
    expect(await hotel.written()).toEqual(['+a', '+b', '-b']);
    expect(await booked(plane)).toEqual(['a']);
  });

  it('a trip that is aborted while one service works on it, and before another has heard of it, leaves nothing', async () => {
    const dropped: HoldfastEvents['saga:message-dropped'][] = [];
    unsubscribe = subscribe('saga:message-dropped', (fact) => dropped.push(fact));
    const door = gate();
    const [hotel, plane] = [await hotels(() => door.pass()), await flights(1)];
    const { bus } = plane.process;
    await bus.bus.publish(new TripRequested('a'), { sagaId: 'a' });
    await door.reached;
    await bus.bus.publish(new SagaAborted('too dear'), { sagaId: 'a' });
    await until('the abort of the flights', async () => (await plane.look('select from holdfast_choreography')).length === 1);
    door.open();
    await until('the end of a', async () => (await hotel.written()).includes('-a'));
    await until('the drop', () => dropped.length === 1);
    expect(await hotel.written()).toEqual(['+a', '-a']);
    expect(dropped).toMatchObject([{ subscription: 'flights.book', sagaId: 'a' }]);
    expect(await plane.left()).toBe(1);
  });

  it('rooms and seats add up when many trips race for few seats and customers change their minds', async () => {
    const [hotel, plane] = [await hotels(), await flights(15)];
    const { bus } = hotel.process;
    const trips = Array.from({ length: 60 }, (_, n) => `t${n}`);
    const changing = trips.filter((_, n) => n % 4 === 0);
    await Promise.all(
      trips.map(async (trip, n) => {
        await bus.bus.publish(new TripRequested(trip), { sagaId: trip });
        // Some at once, some in the midst of it, some when all is booked.
        if (changing.includes(trip)) {
          await new Promise((resolve) => setTimeout(resolve, (n % 5) * 60));
          await bus.bus.publish(new SagaAborted('not any more'), { sagaId: trip });
        }
      }),
    );
    const isQuiet = async (each: Service) => {
      const [row] = await each.look<{ open: number; heard: number }>(
        `select (select count(*) from holdfast_choreography where undoing is not null)::int + (select count(*) from holdfast_delivery)::int as open,
           (select count(*) from holdfast_choreography)::int as heard`,
      );
      return row?.open === 0 && row.heard === trips.length;
    };
    await until('the end', async () => {
      const [rooms, seats] = [await booked(hotel), await booked(plane)];
      return (await isQuiet(hotel)) && rooms.join() === seats.join() && rooms.length + ((await plane.left()) ?? 0) === 15;
    });
    for (const trip of changing) expect(await booked(hotel)).not.toContain(trip);
    for (const { written } of [hotel, plane]) {
      const lines = await written();
      expect(new Set(lines).size).toBe(lines.length);
    }
    expect((await bus.deadLetters.list()).items).toEqual([]);
  });
});
