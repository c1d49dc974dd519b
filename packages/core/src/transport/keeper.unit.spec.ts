import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import { Keeper, type Opened } from './keeper.js';

/** Something that is opened and lost by hand. */
class Thing implements Opened {
  lose: (error: unknown) => void = () => undefined;
  ends = 0;
  readonly lost = new Promise<unknown>((resolve) => {
    this.lose = resolve;
  });

  async end(): Promise<void> {
    this.ends += 1;
    this.lose(new Error('ended'));
  }
}

describe('Keeper', () => {
  const setUp = (open: () => Promise<Opened>) => {
    const time = new VirtualTime();
    const failures: { error: unknown; delayMs: number }[] = [];
    const keeper = new Keeper(
      { clock: time, scheduler: time, random: seededRandom(1) },
      { what: 'a thing', open, failed: (error, delayMs) => failures.push({ error, delayMs }) },
    );
    const terms = { timeoutMs: 10_000, isFinal: (error: unknown) => (error as Error).message === 'final' };
    return { time, keeper, failures, terms };
  };

  it('opens again what was lost, and lets go of it first', async () => {
    const things: Thing[] = [];
    const { time, keeper, failures, terms } = setUp(async () => {
      things.push(new Thing());
      return things.at(-1) as Thing;
    });
    await keeper.start(terms);
    things[0]?.lose(new Error('lost'));
    await time.advance('1s');
    expect(failures).toMatchObject([{ error: { message: 'lost' } }]);
    expect(things.map(({ ends }) => ends > 0)).toEqual([true, false]);
    await keeper.stop();
    expect(things.map(({ ends }) => ends > 0)).toEqual([true, true]);
  });

  it('waits longer and longer while it fails, up to a bound, with jitter, and begins anew after it has lasted', async () => {
    let isFailing = true;
    let thing = new Thing();
    const { time, keeper, failures, terms } = setUp(async () => {
      if (isFailing) throw new Error('no');
      thing = new Thing();
      return thing;
    });
    const started = keeper.start({ ...terms, timeoutMs: 1_000_000 });
    await time.advance('2m');
    const delays = failures.map(({ delayMs }) => delayMs);
    expect(Math.max(...delays)).toBeLessThanOrEqual(1500);
    expect(Math.max(...delays.slice(-20))).toBeGreaterThan(750);
    for (const [n, delay] of delays.entries()) expect(delay).toBeLessThanOrEqual(100 * 2 ** n);
    expect(new Set(delays).size).toBeGreaterThan(10);
    isFailing = false;
    await time.advance('10s');
    await started;
    await time.advance('31s');
    thing.lose(new Error('lost'));
    await time.advance(1);
    expect(failures.at(-1)?.delayMs).toBeLessThanOrEqual(100);
    await keeper.stop();
  });

  it('refuses a start at once when trying again cannot help, and at the time-out with the last error', async () => {
    const final = setUp(() => Promise.reject(new Error('final')));
    await expect(final.keeper.start(final.terms)).rejects.toThrow('final');
    await final.keeper.stop();
    const other = setUp(() => Promise.reject(new Error('not yet')));
    const refused = expect(other.keeper.start(other.terms)).rejects.toThrow('not yet');
    await other.time.advance('11s');
    await refused;
    await other.keeper.stop();
  });

  it('refuses a start at the time-out also when opening does not end', async () => {
    const thing = new Thing();
    let give = (_thing: Thing): void => undefined;
    const { time, keeper, terms } = setUp(
      () =>
        new Promise((resolve) => {
          give = resolve;
        }),
    );
    const refused = expect(keeper.start(terms)).rejects.toMatchObject({ code: 'HF_BROKER_UNANSWERED' });
    await time.advance('11s');
    await refused;
    const stopped = keeper.stop();
    give(thing);
    await stopped;
    expect(thing.ends).toBeGreaterThan(0);
  });

  it('ends a wait at once when it is stopped, and the start with it', async () => {
    const { time, keeper, failures, terms } = setUp(() => Promise.reject(new Error('no')));
    const refused = expect(keeper.start(terms)).rejects.toThrow('no');
    await time.advance(1);
    await keeper.stop();
    await refused;
    const count = failures.length;
    await time.advance('1m');
    expect(failures).toHaveLength(count);
  });
});
