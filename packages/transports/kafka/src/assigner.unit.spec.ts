import { type Reader, shares } from './assigner.js';

const places = (topic: string, count: number) => Array.from({ length: count }, (_, partition) => ({ topic, partition }));

/** What each member gets, as text. */
function given(readers: readonly Reader[], all: readonly { topic: string; partition: number }[]): Record<string, string> {
  const entries = [...shares(readers, all)].map(([id, own]) => [id, own.map(({ topic, partition }) => `${topic}${partition}`).join(' ')]);
  return Object.fromEntries(entries);
}

describe('partitions', () => {
  it('are shared evenly by members that read the same, whoever assigns them', () => {
    const readers = ['m2', 'm1', 'm3'].map((memberId) => ({ memberId, topics: ['a'], had: [] }));
    const wanted = { m1: 'a0 a3 a6', m2: 'a1 a4 a7', m3: 'a2 a5' };
    expect(given(readers, places('a', 8))).toEqual(wanted);
    expect(given([...readers].reverse(), places('a', 8))).toEqual(wanted);
  });

  it('go only to members that read their topic, and the others get more of the rest', () => {
    const readers = [
      { memberId: 'new', topics: ['a', 'b'], had: [] },
      { memberId: 'old', topics: ['a'], had: [] },
    ];
    expect(given(readers, [...places('b', 2), ...places('a', 4)])).toEqual({ new: 'b0 b1 a2', old: 'a0 a1 a3' });
  });

  it('stay where they are when a member comes or goes, but for what makes them even', () => {
    const all = places('a', 8);
    const had = (...numbers: readonly number[]) => numbers.map((partition) => ({ topic: 'a', partition }));
    const readers = [
      { memberId: 'm1', topics: ['a'], had: had(0, 2, 4, 6) },
      { memberId: 'm2', topics: ['a'], had: had(1, 3, 5, 7) },
    ];
    expect(given(readers, all)).toEqual({ m1: 'a0 a2 a4 a6', m2: 'a1 a3 a5 a7' });
    expect(given([...readers, { memberId: 'm0', topics: ['a'], had: [] }], all)).toEqual({ m0: 'a6 a7', m1: 'a0 a2 a4', m2: 'a1 a3 a5' });
    expect(given(readers.slice(1), all)).toEqual({ m2: 'a1 a3 a5 a7 a0 a2 a4 a6' });
  });

  it('that two members say they have, or that are not read any more, go to one that reads them', () => {
    const had = [{ topic: 'a', partition: 0 }];
    const readers = ['m1', 'm2'].map((memberId) => ({ memberId, topics: ['a'], had }));
    expect(given(readers, places('a', 2))).toEqual({ m1: 'a0', m2: 'a1' });
    expect(given([{ memberId: 'm1', topics: ['b'], had }, ...readers.slice(1)], places('a', 1))).toEqual({ m1: '', m2: 'a0' });
  });

  it('that nobody reads go to nobody, and who has none is told so', () => {
    expect(given([{ memberId: 'm', topics: ['a'], had: [] }], places('b', 2))).toEqual({ m: '' });
    expect(given([], places('b', 2))).toEqual({});
  });
});
