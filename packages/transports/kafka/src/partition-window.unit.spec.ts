import type { ReceivedRecord } from './client.port.js';
import { PartitionWindow } from './partition-window.js';

const record = (n: number): ReceivedRecord => ({
  topic: 't',
  partition: 0,
  offset: BigInt(n),
  key: null,
  value: Buffer.from(String(n)),
  headers: {},
  at: new Date(0),
});
const records = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => record(from + n));
const all = () => true;

/** That begins where its group stands, of somebody who makes transactions. */
function windowAt(committed: bigint | undefined): PartitionWindow {
  const window = new PartitionWindow({ topic: 't', partition: 0 }, { changed: () => undefined, putDeadLetter: async () => undefined });
  window.begin(committed);
  return window;
}

const offsets = (window: PartitionWindow) => window.take(100).map(({ offset }) => Number(offset));

describe('a partition whose place moves with transactions', () => {
  it('hands nothing over again that is read once more because the group does not show the last commit yet', () => {
    const window = windowAt(2n);
    window.open({ committed: 2n, suspectBelow: 0n });
    window.receive(records(2, 6), all);
    expect(offsets(window)).toEqual([2, 3, 4, 5]);
    window.stand(4n);
    window.joinedAgain();
    window.receive(records(2, 8), all);
    expect(offsets(window)).toEqual([6, 7]);
    expect(window.positionBehind([4n])).toBe(5n);
  });

  it('begins anew when somebody has set the group back further than that', () => {
    const window = windowAt(2n);
    window.open({ committed: 2n, suspectBelow: 0n });
    window.receive(records(2, 6), all);
    expect(offsets(window)).toEqual([2, 3, 4, 5]);
    window.stand(4n);
    window.joinedAgain();
    window.receive(records(1, 3), all);
    expect(offsets(window)).toEqual([1, 2]);
  });
});
