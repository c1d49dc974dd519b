import { type Reader, shares } from './assigner.js';

const places = (topic: string, count: number) => Array.from({ length: count }, (_, partition) => ({ topic, partition }));

/** What each member gets, as text. */
function given(readers: readonly Reader[], all: readonly { topic: string; partition: number }[]): Record<string, string> {
  const entries = [...shares(readers, all)].map(([id, own]) => [id, own.map(({ topic, partition }) => `${topic}${partition}`).join(' ')]);
  return Object.fromEntries(entries);
}

describe('partitions', () => {
  it('are shared evenly by members that read the same, whoever assigns them', () => {
    const readers = ['m2', 'm1', 'm3'].map((memberId) => ({ memberId, topics: ['a'] }));
    const wanted = { m1: 'a0 a3 a6', m2: 'a1 a4 a7', m3: 'a2 a5' };
    expect(given(readers, places('a', 8))).toEqual(wanted);
    expect(given([...readers].reverse(), places('a', 8))).toEqual(wanted);
  });

  it('go only to members that read their topic, and the others get more of the rest', () => {
    const readers = [
      { memberId: 'new', topics: ['a', 'b'] },
      { memberId: 'old', topics: ['a'] },
    ];
    expect(given(readers, [...places('b', 2), ...places('a', 4)])).toEqual({ new: 'b0 b1 a2', old: 'a0 a1 a3' });
  });

  it('that nobody reads go to nobody, and who has none is told so', () => {
    expect(given([{ memberId: 'm', topics: ['a'] }], places('b', 2))).toEqual({ m: '' });
    expect(given([], places('b', 2))).toEqual({});
  });
});
