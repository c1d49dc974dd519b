import { ProducerSlots } from './producer-slots.js';

/** One that notes when it is closed. */
function member(slots: ProducerSlots, name: string, closed: string[]) {
  const one = {
    close: async () => {
      slots.closed(one);
      closed.push(name);
    },
  };
  return one;
}

describe('producers of a process', () => {
  it('are as many as may be open: the one that was not used for longest is closed, and none that is in use', async () => {
    const slots = new ProducerSlots(2);
    const closed: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => member(slots, name, closed)) as [never, never, never];
    await slots.opened(a);
    await slots.opened(b);
    await slots.opened(a);
    await slots.use(c, () => slots.opened(c));
    expect(closed).toEqual(['b']);
    await slots.use(a, () => slots.use(b, () => slots.opened(b)));
    expect(closed).toEqual(['b', 'c']);
  });

  it('that are in use are no more than may be open', async () => {
    const slots = new ProducerSlots(1);
    const done: string[] = [];
    let end = (): void => undefined;
    const first = slots.use(member(slots, 'a', []), () => new Promise<void>((resolve) => (end = resolve)).then(() => void done.push('a')));
    const second = slots.use(member(slots, 'b', []), async () => void done.push('b'));
    end();
    await Promise.all([first, second]);
    expect(done).toEqual(['a', 'b']);
  });
});
