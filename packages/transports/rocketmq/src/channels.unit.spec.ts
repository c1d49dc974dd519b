import { isInTime, ofOneAlone } from './channels.js';

/** As a proxy of 5.5.0 writes it: the first message, when it was received and for how long, the note, three more parts, the message itself. */
const handleOf = (since: number, length: number, notes = '0') => `7 ${since} ${length} ${notes} 0 broker-a 2 9`;

describe('the handle of a message that is kept', () => {
  it('begins with the message itself, except where order is kept, or where it cannot be read', () => {
    expect(ofOneAlone(handleOf(1000, 500))).toBe('9 1000 500 0 0 broker-a 2 9');
    for (const handle of [handleOf(1000, 500, '999'), 'opaque']) expect(ofOneAlone(handle)).toBe(handle);
  });

  it.each([
    ['before its time was over', handleOf(5999, 3000), true],
    ['when it was over', handleOf(6000, 3000), false],
    ['before its time was over, in an order, where it counts from when it was received', handleOf(1000, 4999 + 3000), true],
    ['when it was over, in an order', handleOf(1000, 5000 + 3000), false],
    ['by a broker that has passed it, and says no time', handleOf(0, 0), false],
    ['by a proxy whose handles cannot be read', 'opaque', true],
    ['by nobody, as an answer that refuses has no handle', '', true],
  ])('says whether it was kept in time: %s', (_, after, isKept) => {
    expect(isInTime({ before: handleOf(1000, 5000), after }, 3000)).toBe(isKept);
    expect(isInTime({ before: 'opaque', after }, 3000)).toBe(true);
  });
});
