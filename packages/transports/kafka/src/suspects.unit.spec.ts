import { handOf, inHandNote, isInHandNote, notInHandNote, suspectsBehind, suspectsIn } from './suspects.js';

const at = (note: string | undefined, offset = 3n) => ({ topic: 't', partition: 0, offset, note });

describe('what is suspected of ending processes', () => {
  it('is what was in hand of whoever had the partition before, once more for each end', () => {
    const first = inHandNote({ suspects: undefined, until: 8n }, 'a/1');
    expect(suspectsIn(at(first), 'b')).toEqual({ until: 8n, returned: 1 });
    const second = inHandNote({ suspects: { until: 8n, returned: 1 }, until: 5n }, 'b/1');
    expect(suspectsIn(at(second), 'c')).toEqual({ until: 5n, returned: 2 });
  });

  it('is what it was for the process that has it in hand itself', () => {
    expect(suspectsIn(at(inHandNote({ suspects: undefined, until: 8n }, 'a/1')), 'a')).toBeUndefined();
    expect(suspectsIn(at(inHandNote({ suspects: { until: 8n, returned: 1 }, until: 5n }, 'a/1')), 'a')).toEqual({ until: 8n, returned: 1 });
  });

  it('is not counted where nothing was in hand, and not forgotten either', () => {
    const suspects = { until: 8n, returned: 4 };
    expect(suspectsIn(at(notInHandNote(suspects, 'a/b/1')), 'c')).toEqual(suspects);
    expect(suspectsIn(at(notInHandNote(undefined, 'a/1')), 'c')).toBeUndefined();
    expect(suspectsIn(undefined, 'c')).toBeUndefined();
    expect(suspectsIn(at('in hand by somebody else'), 'c')).toBeUndefined();
  });

  it('is handed over in halves, and what nothing is known of in whole batches', () => {
    const offsets = [3n, 5n, 6n, 9n, 12n];
    expect(handOf({ until: 10n, returned: 1 }, offsets, 100)).toBe(2);
    expect(handOf({ until: 4n, returned: 3 }, offsets, 100)).toBe(1);
    expect(handOf({ until: 10n, returned: 1 }, offsets, 1)).toBe(1);
    expect(handOf(undefined, offsets, 4)).toBe(4);
  });

  it('ends where the last of them is settled', () => {
    const suspects = { until: 8n, returned: 1 };
    expect(suspectsBehind(suspects, 7n)).toBe(suspects);
    expect(suspectsBehind(suspects, 8n)).toBeUndefined();
  });

  it('leaves the group where it is with a note of what is in hand alone', () => {
    expect(isInHandNote(inHandNote({ suspects: undefined, until: 8n }, 'a/1'))).toBe(true);
    expect(isInHandNote(notInHandNote({ until: 8n, returned: 1 }, 'a/1'))).toBe(false);
    expect(isInHandNote(undefined)).toBe(false);
  });
});
