import { SLOTS } from '@holdfast/core';

/** Partitions of an ordered subscription, unless its first start says otherwise. */
export const DEFAULT_PARTITIONS = 8;

/** Which slots of ordering keys a partition has: ranges of equal length, as far as that goes. */
export function slotsOf(partition: number, partitions: number): readonly number[] {
  const from = Math.ceil((partition * SLOTS) / partitions);
  const to = Math.ceil(((partition + 1) * SLOTS) / partitions);
  return Array.from({ length: to - from }, (_, n) => from + n);
}
