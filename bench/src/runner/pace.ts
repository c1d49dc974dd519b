import { until } from './wait.js';

/** Share of a round that does not count, so that a side is up to speed. */
const HEAD = 0.1;
const TIMEOUT_MS = 120_000;

/** Messages per second of something that is on its way from 0 to `count`, less its beginning. */
export async function pace(count: number, progress: () => number | Promise<number>): Promise<number> {
  const reach = async (wanted: number) => {
    let done = 0;
    await until(`${wanted} of ${count} messages`, TIMEOUT_MS, async () => {
      done = await progress();
      return done >= wanted;
    });
    return { done, atMs: performance.now() };
  };
  const begin = await reach(count * HEAD);
  const end = await reach(count);
  return ((end.done - begin.done) / (end.atMs - begin.atMs)) * 1000;
}
