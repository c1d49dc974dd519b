import { SLOTS } from '@holdfast/core';
import { slotsOf } from './partitions.js';

describe('the slots of partitions', () => {
  it.each([1, 3, 8, 100, SLOTS])('belong to one of %i partitions each, evenly', (partitions) => {
    const all = Array.from({ length: partitions }, (_, partition) => slotsOf(partition, partitions));
    expect(all.flat()).toEqual(Array.from({ length: SLOTS }, (_, slot) => slot));
    const sizes = all.map(({ length }) => length);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  });
});
