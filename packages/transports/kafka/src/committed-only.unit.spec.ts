import { Kafka, logLevel } from 'kafkajs';
import { type FetchedPartition, hideAborted, readCommittedOnly } from './committed-only.js';

const DATA = 'data';
const [ABORT, COMMIT] = [Buffer.from([0, 0, 0, 0]), Buffer.from([0, 0, 0, 1])];

/** What is left to read of `[offset, producer, what]`, where these transactions were aborted: `[producer, first offset]`. */
function readable(
  records: readonly (readonly [offset: number, producerId: string, what: typeof DATA | Buffer])[],
  aborted: readonly (readonly [producerId: string, firstOffset: number])[] | null,
  { key = null, inTransaction = true }: { key?: Buffer | null; inTransaction?: boolean } = {},
): readonly number[] {
  const partition: FetchedPartition = {
    messages: records.map(([offset, producerId, what]) => ({
      offset: String(offset),
      key: what === DATA ? key : (what as Buffer),
      isControlRecord: what !== DATA,
      batchContext: { producerId, inTransaction },
    })),
    abortedTransactions: aborted?.map(([producerId, first]) => ({ producerId, firstOffset: String(first) })) ?? null,
  };
  hideAborted(partition);
  return partition.messages.filter(({ isControlRecord }) => !isControlRecord).map(({ offset }) => Number(offset));
}

describe('what may be read of a partition with transactions', () => {
  it('is what was committed, in whatever order the aborted ones ended', () => {
    const records = [
      [0, 'a', DATA],
      [1, 'b', DATA],
      [2, 'c', DATA],
      [3, 'b', ABORT],
      [4, 'a', ABORT],
      [5, 'c', COMMIT],
      [6, 'a', DATA],
      [7, 'a', COMMIT],
    ] as const;
    const inOrderOfEnds = [
      ['b', 1],
      ['a', 0],
    ] as const;
    expect(readable(records, inOrderOfEnds)).toEqual([2, 6]);
  });

  it('is so, too, from the midst of several aborted ones', () => {
    const records = [
      [10, 'b', DATA],
      [11, 'a', DATA],
      [12, 'a', ABORT],
      [13, 'b', ABORT],
      [14, 'c', DATA],
    ] as const;
    expect(
      readable(records, [
        ['a', 3],
        ['b', 5],
      ]),
    ).toEqual([14]);
  });

  it('takes no data for the end of a transaction, whatever its key is', () => {
    const records = [
      [0, 'a', DATA],
      [1, 'a', DATA],
      [2, 'a', ABORT],
    ] as const;
    expect(readable(records, [['a', 0]], { key: ABORT })).toEqual([]);
  });

  it('is all that is in no transaction, and everything where nothing was aborted', () => {
    expect(readable([[0, 'a', DATA]], [['a', 0]], { inTransaction: false })).toEqual([0]);
    expect(readable([[0, 'a', DATA]], [])).toEqual([0]);
    expect(readable([[0, 'a', DATA]], null)).toEqual([0]);
  });

  it('is refused to be told of a kafkajs that is made otherwise', () => {
    expect(() => readCommittedOnly({} as Kafka)).toThrow('kafkajs is not the version that this transport was made for');
    expect(() => readCommittedOnly(new Kafka({ brokers: ['a:1'], logLevel: logLevel.NOTHING }))).not.toThrow();
  });
});
