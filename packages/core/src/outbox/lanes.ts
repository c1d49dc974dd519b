import { hash } from 'node:crypto';

/** Number of hash slots of an ordering key, fixed for ever. */
export const SLOTS = 256;

/** Lanes of a new log, unless the first migration says otherwise. */
export const DEFAULT_LANES = 32;

/** Most lanes of a log: a unit that writes to all of them holds one sequence lock per lane. */
export const MAX_LANES = 64;

/** The slot of an ordering key: the first byte of SHA-256 of its UTF-8. */
export function slotOf(key: string): number {
  return Number.parseInt(hash('sha256', key).slice(0, 2), 16);
}

/** The lane of a slot. */
export function laneOfSlot(slot: number, lanes: number): number {
  return slot % lanes;
}
