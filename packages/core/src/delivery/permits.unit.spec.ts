import { Permits, shareOf } from './permits.js';

describe('permits', () => {
  it('let at most so many in at once, and serve those who wait in order', async () => {
    const permits = new Permits(2);
    const order: number[] = [];
    let inside = 0;
    let most = 0;
    await Promise.all(
      [1, 2, 3, 4, 5].map((n) =>
        permits.run(async () => {
          inside += 1;
          most = Math.max(most, inside);
          order.push(n);
          await new Promise((resolve) => setImmediate(resolve));
          inside -= 1;
        }),
      ),
    );
    expect(most).toBe(2);
    expect(order).toEqual([1, 2, 3, 4, 5]);
  });

  it('come back from work that fails', async () => {
    const permits = new Permits(1);
    await expect(permits.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(permits.run(async () => 'next')).resolves.toBe('next');
  });
});

describe('the share of a subscription', () => {
  it('leaves one connection to each of the others', () => {
    expect(shareOf(8, 10, 3)).toBe(6);
    expect(shareOf(8, 2, 3)).toBe(2);
  });

  it('is never less than one', () => {
    expect(shareOf(4, 10, 20)).toBe(1);
  });
});
