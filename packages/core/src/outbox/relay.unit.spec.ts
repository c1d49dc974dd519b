import { wavesOf } from './relay.js';

const row = (id: number, key?: string) => ({ id: BigInt(id), attributes: JSON.stringify({ partitionkey: key }) }) as never;
const waves = (...rows: [number, string?][]) =>
  wavesOf({ rows: rows.map(([id, key]) => row(id, key)) }).map((wave) => wave.map(({ id }) => Number(id)));

describe('the waves of a batch', () => {
  it('hold no key twice, so that a key has one unconfirmed message', () => {
    expect(waves([1, 'a'], [2, 'b'], [3, 'a'], [4, 'a'], [5, 'b'])).toEqual([[1, 2], [3], [4, 5]]);
  });

  it('take any number of messages without a key', () => {
    expect(waves([1], [2], [3, 'a'], [4])).toEqual([[1, 2, 3, 4]]);
  });

  it('keep the order of the log', () => {
    expect(waves([1, 'a'], [2, 'a'], [3, 'b'], [4, 'c'])).toEqual([[1], [2, 3, 4]]);
  });

  it('are none for an empty batch', () => {
    expect(waves()).toEqual([]);
  });
});
