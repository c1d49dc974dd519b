import { Seeds } from './seeds.js';

describe('the brokers that things are opened with', () => {
  it('begin with another one when something could not be opened, and once for all that failed with the same one', async () => {
    const seeds = new Seeds(['a', 'b', 'c']);
    expect(await seeds.trying(async () => seeds.list)).toEqual(['a', 'b', 'c']);
    expect(seeds.list).toEqual(['a', 'b', 'c']);
    const failing = () => seeds.trying(() => Promise.reject(new Error('hangs'))).catch(({ message }: Error) => message);
    expect(await Promise.all([failing(), failing()])).toEqual(['hangs', 'hangs']);
    expect(seeds.list).toEqual(['b', 'c', 'a']);
    await failing();
    await failing();
    expect(seeds.list).toEqual(['a', 'b', 'c']);
  });
});
