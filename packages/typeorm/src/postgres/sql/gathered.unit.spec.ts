import { Gathered } from './gathered.js';

describe('gathered work', () => {
  it('takes together what comes in one turn, and then what came while it worked', async () => {
    const rounds: (readonly number[])[] = [];
    const gathered = new Gathered<number, number>(async (items) => {
      rounds.push(items);
      await new Promise((resolve) => setImmediate(resolve));
      return items.map((item) => item * 10);
    });
    const first = [gathered.run(1), gathered.run(2)];
    await Promise.resolve();
    const second = [gathered.run(3), gathered.run(4)];
    expect(await Promise.all([...first, ...second])).toEqual([10, 20, 30, 40]);
    expect(rounds).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it('fails those of a round that failed, and goes on with the next', async () => {
    let rounds = 0;
    const gathered = new Gathered<string, string>(async (items) => {
      rounds += 1;
      if (rounds === 1) throw new Error('the first round');
      return items;
    });
    await expect(Promise.all([gathered.run('a'), gathered.run('b')])).rejects.toThrow('the first round');
    expect(await gathered.run('c')).toBe('c');
  });
});
