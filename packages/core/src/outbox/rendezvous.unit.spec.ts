import { preferredNode } from './rendezvous.js';

const work = Array.from({ length: 320 }, (_, i) => `${i % 10}/${i}`);

describe('the preferred node', () => {
  it('is the same whatever the order of the list', () => {
    for (const each of work) expect(preferredNode(['a', 'b', 'c'], each)).toBe(preferredNode(['c', 'a', 'b'], each));
  });

  it('gives every node its share', () => {
    const counts = new Map<string | undefined, number>();
    for (const each of work) counts.set(preferredNode(['a', 'b', 'c'], each), (counts.get(preferredNode(['a', 'b', 'c'], each)) ?? 0) + 1);
    for (const count of counts.values()) expect(count).toBeGreaterThan(70);
  });

  it('moves only the work of a node that leaves', () => {
    for (const each of work) {
      const before = preferredNode(['a', 'b', 'c'], each);
      if (before !== 'b') expect(preferredNode(['a', 'c'], each)).toBe(before);
    }
  });

  it('is nobody when there are no nodes', () => {
    expect(preferredNode([], 'x')).toBeUndefined();
  });
});
