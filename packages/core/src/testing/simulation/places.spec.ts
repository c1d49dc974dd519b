import { type FailpointName, FAILPOINTS } from '../failpoints.js';

/** Where processes die. */
export const PLACES: readonly FailpointName[] = [
  'saga:after-claim',
  'saga:after-lock',
  'saga:after-call',
  'saga:after-step',
  'saga:before-record',
  'saga:before-record',
  'guard:after-write',
  'unit:before-outbox',
  'unit:after-outbox',
  'unit:before-commit',
  'unit:after-commit',
];
const placesOf = (...kinds: readonly string[]) => FAILPOINTS.filter((name) => kinds.includes(name.split(':')[0] as string));
/** Where there are tries. */
export const PLACES_OF_TRIES: readonly FailpointName[] = placesOf('try', 'branch');
/** Where there are trips. */
export const PLACES_OF_TRIPS: readonly FailpointName[] = placesOf('choreography');

/** Where a seed comes a few times at most. */
export function isRarelyPassed(place: FailpointName): boolean {
  return place === 'saga:before-record' || PLACES_OF_TRIES.includes(place) || PLACES_OF_TRIPS.includes(place);
}
