import type { Incoming, Taken } from '../delivery/intake.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { CursorIntake } from './cursor-intake.js';
import type { CursorStore } from './log.store.port.js';

const tx = {} as Transaction;
const message = (place: string) => ({ place }) as Incoming;

function intakeOver(taken: Partial<Taken>) {
  const cursors = { take: async () => ({ messages: [], hasMore: false, ...taken }) } as unknown as CursorStore;
  return new CursorIntake(cursors, { subscriptionId: 1, lane: 0 });
}

describe('taking a message of the log again', () => {
  it.each([
    ['succeeds while it is the next one', { messages: [message('0/7')], hasMore: true }, true],
    ['is refused when another one comes first', { messages: [message('0/8')], hasMore: true }, false],
    ['is refused when somebody has the cursor', {}, false],
    ['is refused when nothing is left', { isMoved: true }, false],
  ])('%s', async (_, taken, expected) => {
    expect(await intakeOver(taken).retake(tx, message('0/7'))).toBe(expected);
  });

  it('waits for whoever has the cursor only when it is asked to, and looks afterwards', async () => {
    const calls: string[] = [];
    const called = async (name: string) => void calls.push(name);
    const cursors = { lock: () => called('lock'), take: () => called('take').then(() => ({ messages: [] })) } as unknown as CursorStore;
    const intake = new CursorIntake(cursors, { subscriptionId: 1, lane: 0 });
    await intake.retake(tx, message('0/7'));
    await intake.retake(tx, message('0/7'), { waits: true });
    expect(calls).toEqual(['take', 'lock', 'take']);
  });
});
