import type { CursorStore, Incoming, Taken, Transaction } from '@holdfast/core';
import { CursorIntake } from './cursor-intake.js';

const tx = {} as Transaction;
const message = (place: string) => ({ place }) as Incoming;

function intakeOver(...looks: readonly Partial<Taken>[]) {
  const left = [...looks];
  const cursors = { take: async () => ({ messages: [], hasMore: false, ...left.shift() }) } as unknown as CursorStore;
  return new CursorIntake(cursors, { subscriptionId: 1, lane: 0 });
}

describe('taking a message of the log again', () => {
  it('looks past rows of other types, however many come first', async () => {
    const intake = intakeOver({ hasMore: true }, { hasMore: true }, { messages: [message('0/7')] });
    expect(await intake.retake(tx, message('0/7'))).toBe(true);
  });

  it.each([
    ['another one comes first', [{ messages: [message('0/8')], hasMore: true }]],
    ['somebody has the cursor', [{}]],
    ['nothing is left', [{ hasMore: true }, {}]],
  ])('is refused when %s', async (_, looks) => {
    expect(await intakeOver(...looks).retake(tx, message('0/7'))).toBe(false);
  });
});
