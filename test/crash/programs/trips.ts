import { setTimeout } from 'node:timers/promises';
import { type Holdfast, Message, SagaAborted } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import type { Travelling } from './options.js';

type How = Travelling['how'];

@Message('trip.requested')
class TripRequested {
  constructor(
    readonly trip: string,
    readonly how: How,
  ) {}
}

@Message('hotel.booked')
class HotelBooked {
  constructor(
    readonly trip: string,
    readonly how: How,
  ) {}
}

@Message('seat.taken')
class SeatTaken {
  constructor(
    readonly trip: string,
    readonly how: How,
  ) {}
}

const RETRY = { attempts: 6, backoff: { delay: 10, factor: 1, jitter: 'none' } } as const;

/**
 * Books a room and then a seat, one row of `effect` and one more in a counter each, and takes both back; whoever has no plane aborts the trip. The second
 * release has other names for its handlers.
 */
export function addTrips(
  bus: Holdfast,
  dataSource: DataSource,
  { from, release = 1 }: { readonly from: 'earliest' | 'now'; readonly release?: 1 | 2 | undefined },
): void {
  const named = (old: string, renamed: string) => (release === 1 ? { name: old } : { name: renamed, formerly: old });
  const effect = async (what: string, trip: string) => {
    await dataSource.query('insert into effect (subscription, message_id, pid) values ($1, $2, $3)', [what, trip, process.pid]);
  };
  const count = async (key: string, by: number) => {
    await dataSource.query('insert into counter values ($1, $2) on conflict (key) do update set n = counter.n + $2', [key, by]);
  };
  const undoing = (key: string, what: string) => ({
    undo: async ({ trip }: { readonly trip: string }) => {
      await effect(what, trip);
      await count(key, -1);
    },
    retry: RETRY,
  });
  const policies = { idempotent: true, transactional: true, retry: RETRY, from } as const;
  bus.on(
    TripRequested,
    async ({ trip, how }) => {
      await effect('room', trip);
      await count('rooms', 1);
      await bus.bus.publish(new HotelBooked(trip, how), { id: `hotel of ${trip}` });
    },
    { ...named('hotels.book', 'rooms.book'), ...policies, compensate: undoing('rooms', 'no room') },
  );
  bus.on(
    HotelBooked,
    async ({ trip, how }) => {
      await effect('seat', trip);
      await count('seats', 1);
      await bus.bus.publish(new SeatTaken(trip, how), { id: `seat of ${trip}` });
    },
    { ...named('seats.take', 'places.take'), ...policies, compensate: undoing('seats', 'no seat') },
  );
  bus.on(
    SeatTaken,
    async ({ trip, how }) => {
      if (how === 'aborted') await bus.bus.publish(new SagaAborted('no plane'), { id: `no plane for ${trip}` });
    },
    { name: 'planes.find', ...policies },
  );
}

/** Requests trips, again where it does not know whether it has; those that are raced are off as soon as they are requested. */
export async function requestTrips({ bus }: Holdfast, { prefix, count, how }: Travelling): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const trip = `${prefix}-${n}`;
    await persistently(() => bus.publish(new TripRequested(trip, how), { id: trip, sagaId: trip }));
    if (how === 'raced') await persistently(() => bus.publish(new SagaAborted('not any more'), { id: `abort of ${trip}`, sagaId: trip }));
  }
}

async function persistently(work: () => Promise<unknown>): Promise<void> {
  while (
    !(await work().then(
      () => true,
      () => false,
    ))
  )
    await setTimeout(100);
}
