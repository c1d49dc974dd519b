import { PATIENCE_MS } from '@holdfast-internal/test-support';
import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions, Travelling } from '../programs/options.js';
import { pause } from './account.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';

/** Where a process dies that takes part in choreographed sagas. */
export interface TripDeath {
  readonly at: FailpointName;
  readonly hit: number;
}

export const TRIP_DEATHS: readonly TripDeath[] = [
  { at: 'choreography:after-record', hit: 5 },
  { at: 'choreography:after-record', hit: 12 },
  { at: 'handler:after', hit: 9 },
  { at: 'choreography:after-abort', hit: 1 },
  { at: 'choreography:after-abort', hit: 3 },
  { at: 'choreography:after-undo', hit: 1 },
  { at: 'choreography:after-undo', hit: 4 },
  { at: 'unit:before-commit', hit: 24 },
  { at: 'unit:after-commit', hit: 24 },
];

const HOWS: readonly Travelling['how'][] = ['well', 'aborted', 'raced'];
const EACH = 4;

export const WITH_TRIPS = { lanes: 2, subscriptions: [], hasTrips: true } as const;

/** Requests trips of each kind, which go on side by side. */
export function requestEach(program: Program, prefix: string, count = EACH): void {
  for (const how of HOWS) program.order({ requestTrips: { prefix: `${how} ${prefix}`, count, how } });
}

/** Waits until `requestEach` is done. */
export async function requestedEach(program: Program, prefix: string): Promise<void> {
  for (const how of HOWS) await program.line('requested trips', (line) => line.prefix === `${how} ${prefix}`);
}

/** One process dies while it takes part in sagas, and another one goes on. What is wrong then. */
export async function endOfTrips(arena: Arena, { at, hit }: TripDeath) {
  const options: ProgramOptions = { ...WITH_TRIPS, url: arena.url };
  const first = await new Program(options, { failpoint: `${at}=kill@${hit}` }).ready();
  requestEach(first, 't');
  const { signal } = await first.end();
  const last = await new Program(options).ready();
  requestEach(last, 't');
  await requestedEach(last, 't');
  const outcome = await accountOfTrips(arena, EACH);
  await last.stop();
  return { signal, ...outcome };
}

/** What is wrong when all trips have ended, `each` of each kind: what was not undone, or twice, or in another order, and rooms and seats that are missing. */
export async function accountOfTrips(arena: Arena, each: number, patienceMs = PATIENCE_MS) {
  const until = performance.now() + patienceMs;
  let open = await openTrips(arena, each);
  while (open.length > 0 && performance.now() < until) {
    await pause(100);
    open = await openTrips(arena, each);
  }
  // What would be one too many comes late.
  await pause(300);
  const effects = await arena.look<{ trip: string; what: string[] }>(
    `select message_id as trip, array_agg(subscription order by n) as what from effect where subscription in ('room', 'seat', 'no room', 'no seat') group by 1 order by 1`,
  );
  const strange = effects.filter(({ trip, what }) => !possible(trip).includes(what.join()));
  const [{ rooms, seats }] = (await arena.look<{ rooms: number; seats: number }>(
    `select max(n) filter (where key = 'rooms') as rooms, max(n) filter (where key = 'seats') as seats from counter`,
  )) as [{ rooms: number; seats: number }];
  const dead = await arena.look(`select error_message from holdfast_delivery where state in ('dead', 'invalid')`);
  const missing = effects.filter(({ trip }) => !trip.startsWith('raced')).length - 2 * each;
  return { open, wrong: [...strange, ...dead], missing, rooms, seats };
}

function possible(trip: string): readonly string[] {
  const undone = 'room,seat,no seat,no room';
  if (trip.startsWith('well')) return ['room,seat'];
  return trip.startsWith('raced') ? ['room,no room', undone] : [undone];
}

/** What there is still to do. */
async function openTrips(arena: Arena, each: number): Promise<readonly string[]> {
  const [row] = await arena.look<Record<string, number>>(
    `select ${HOWS.length * each} - (select count(*) from holdfast_inbox i join holdfast_subscription s on s.id = i.subscription_id and s.name in ('hotels.book', 'rooms.book'))::int as requested,
       (select count(distinct message_id) from effect where subscription = 'room')::int
         - (select count(*) from holdfast_inbox i join holdfast_subscription s on s.id = i.subscription_id and s.name in ('seats.take', 'places.take'))::int as booked,
       ${2 * each} - (select count(*) from holdfast_choreography where aborted_at is not null)::int as aborted,
       (select count(*) from holdfast_choreography where undoing is not null)::int as undone,
       (select count(*) from holdfast_delivery where state in ('retry', 'waiting'))::int as delivered`,
  );
  return Object.entries(row ?? {}).flatMap(([what, count]) => (count === 0 ? [] : [`${what}: ${count}`]));
}
